"""Steps that reach for the network: real servers on the loopback see only what they may."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
from isolation_bench import Steps, needs, offered, play
from isolation_network import TRYING, Server, mailbox, servers, told

__all__ = ["mailbox", "servers"]  # fixtures

pytestmark = pytest.mark.slow


def test_a_connection_that_is_not_allowed(servers: list[Server], tmp_path: Path) -> None:
    needs("network")
    allowed, forbidden = servers

    async def scene(steps: Steps) -> None:
        code = TRYING + "for each in sys.argv[1:]: tries(each, lambda: connect(int(each)))"
        outcome = await steps.python(code, allowed.port, forbidden.port, network=(f"127.0.0.1:{allowed.port}",))
        assert told(steps) == {str(allowed.port): "done", str(forbidden.port): "EACCES"}
        assert outcome.exit_code == 0
        assert outcome.violation is None
        assert outcome.refused == (f"connection to 127.0.0.1:{forbidden.port}: limits.network does not allow it",)
        assert outcome.usage.connections == 1
        assert allowed.seen() == [b"hello"]
        assert forbidden.seen() == []

    play(scene, tmp_path)


def test_the_third_of_two_connections(servers: list[Server], tmp_path: Path) -> None:
    needs("connections")
    server = servers[0]
    code = (
        TRYING
        + """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(3):
    tries(number, lambda: connect(int(sys.argv[1])))
time.sleep(600)
"""
    )

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, server.port, connections=2, wall_s=60)
        assert told(steps) == {"0": "done", "1": "done", "2": "EACCES"}
        assert outcome.violation is not None
        assert (outcome.violation.limit, outcome.violation.allowed, outcome.violation.used) == (
            "connections",
            2,
            3,
        )
        assert "raise connections" in outcome.violation.message
        assert outcome.usage.connections == 2
        assert server.seen() == [b"hello"] * 2

    play(scene, tmp_path)


def test_asking_again_is_no_other_connection(servers: list[Server], tmp_path: Path) -> None:
    """A socket that does not wait is asked several times; one that is disconnected connects anew."""
    needs("connections")
    code = (
        TRYING
        + """
address = ("127.0.0.1", int(sys.argv[1]))
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.socket() as client:
    client.setblocking(False)
    print("first", errno.errorcode.get(client.connect_ex(address), "done"))
    client.setblocking(True)
    again = [client.connect_ex(address) for _ in range(3)]
    print("again", errno.errorcode[again[-1]])
    libc.connect(client.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16)
    print("anew", errno.errorcode.get(client.connect_ex(address), "done"), flush=True)
"""
    )

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, servers[0].port, connections=1, wall_s=60)
        assert told(steps) == {"first": "EINPROGRESS", "again": "EISCONN", "anew": "EACCES"}
        assert outcome.usage.connections == 1

    play(scene, tmp_path)


@pytest.mark.parametrize("way", ["namespace", "filter"])
def test_no_network_at_all(way: str, servers: list[Server], mailbox: Server, tmp_path: Path) -> None:
    needs("network=()")
    mechanisms = offered()
    if way == "filter":
        if not mechanisms.filters:
            pytest.skip(mechanisms.why("filters"))
        mechanisms = msgspec.structs.replace(mechanisms, network_namespace="")
    elif not mechanisms.network_namespace:
        pytest.skip(mechanisms.why("network namespace"))
    code = (
        TRYING
        + """
port, udp = map(int, sys.argv[1:])
tries("tcp", lambda: connect(port))
tries("udp", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", udp)))
tries("ipv6", lambda: connect(port, "::1", socket.AF_INET6))
tries("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tries("vsock", lambda: socket.socket(socket.AF_VSOCK))
tries("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
one, other = socket.socketpair()
one.send(b"x")
tries("pair", lambda: other.recv(1))
if os.fork() == 0:
    tries("child", lambda: connect(port))
    os._exit(0)
os.wait()
"""
    )

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, servers[0].port, mailbox.port, network=())
        results = told(steps)
        assert results.pop("pair") == "done"
        assert {*results.values()} <= {"EACCES", "ENETUNREACH", "EPERM", "EADDRNOTAVAIL"}, results
        assert outcome.exit_code == 0
        assert servers[0].seen() == mailbox.seen() == []
        steps.printed["stdout"].clear()
        outcome = await steps.python(TRYING + "tries('tcp', lambda: connect(int(sys.argv[1])))", 9, connections=0)
        assert "done" not in steps.text
        assert (outcome.violation is not None) == (way == "namespace" and mechanisms.notifications)

    play(scene, tmp_path, mechanisms)


#: Every way to send a datagram, to an address that is allowed and to one that is not.
DATAGRAMS = """
good, bad, port = map(int, sys.argv[1:])
def sock():
    return socket.socket(type=socket.SOCK_DGRAM)
def connected(port):
    client = sock()
    client.connect(("127.0.0.1", port))
    client.send(b"connected")
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("name_size", ctypes.c_uint32), ("pieces", ctypes.POINTER(Piece)),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t), ("flags", ctypes.c_int)]
class Many(ctypes.Structure):
    _fields_ = [("message", Message), ("sent", ctypes.c_uint32)]
def many(*ports):
    client = sock()
    array = (Many * len(ports))()
    for each, port in zip(array, ports):
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + bytes([127, 0, 0, 1]) + bytes(8)
        each.message = Message(name, 16, ctypes.pointer(Piece(b"many", 4)), 1, None, 0, 0)
    done = libc.sendmmsg(client.fileno(), array, len(ports), 0)
    if done < 0:
        raise OSError(ctypes.get_errno(), "")
    print("counted", done, [each.sent for each in array])
for name, port_ in (("good", good), ("bad", bad)):
    tries(name + "-sendto", lambda: sock().sendto(b"sendto", ("127.0.0.1", port_)))
    tries(name + "-sendmsg", lambda: sock().sendmsg([b"send", b"msg"], [], 0, ("127.0.0.1", port_)))
    tries(name + "-connected", lambda: connected(port_))
    tries(name + "-many", lambda: many(port_, port_))
tries("mixed", lambda: many(good, bad, good))
tries("large", lambda: sock().sendto(bytes(100_000), ("127.0.0.1", good)))
def unspecified():
    data, name = b"unspecified", bytes(2) + struct.pack("!H", good) + bytes([127, 0, 0, 1]) + bytes(8)
    client = sock()
    if libc.sendto(client.fileno(), data, len(data), 0, name, 16) < 0:
        raise OSError(ctypes.get_errno(), "")
tries("unspecified", unspecified)
tries("fast-open", lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", port)))
tries("route", lambda: sock().setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4, 127, 0, 0, 2, 0])))
tries("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tries("sctp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132))
tries("vsock", lambda: socket.socket(socket.AF_VSOCK))
"""  # noqa: E501


def test_datagrams(servers: list[Server], mailbox: Server, tmp_path: Path) -> None:
    needs("network")
    with Server(socket.SOCK_DGRAM).socket as closed:
        code = TRYING + DATAGRAMS

        async def scene(steps: Steps) -> None:
            bad = closed.getsockname()[1]
            outcome = await steps.python(
                code, mailbox.port, bad, servers[0].port, network=(f"127.0.0.1:{mailbox.port}",)
            )
            assert steps.errors == ""
            lines = steps.text.splitlines()
            assert [line for line in lines if line.startswith("good")] == [
                f"good-{how} done" for how in ("sendto", "sendmsg", "connected", "many")
            ]
            assert [line for line in lines if line.startswith("bad")] == [
                f"bad-{how} EACCES" for how in ("sendto", "sendmsg", "connected", "many")
            ]
            assert [line for line in lines if line.startswith("counted")] == [
                "counted 2 [4, 4]",
                "counted 1 [4, 0, 0]",
            ]
            rest = dict(line.split(" ", 1) for line in lines if not line.startswith(("good", "bad", "counted")))
            assert rest == {
                "mixed": "done",
                "large": "EMSGSIZE",
                "unspecified": "EAFNOSUPPORT",
                "fast-open": "EACCES",
                "route": "EPERM",
                **dict.fromkeys(("raw", "sctp", "vsock"), "EACCES"),
            }
            assert mailbox.seen() == [b"sendto", b"sendmsg", b"connected", b"many", b"many", b"many"]
            with pytest.raises(BlockingIOError):
                closed.recv(1)
            assert servers[0].seen() == []
            assert f"datagram to 127.0.0.1:{bad}: limits.network does not allow it" in outcome.refused

        play(scene, tmp_path)


def test_with_a_count_datagrams_go_nowhere_else(mailbox: Server, tmp_path: Path) -> None:
    needs("connections")

    async def scene(steps: Steps) -> None:
        code = (
            TRYING
            + """
tries("udp", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1]))))
"""
        )
        outcome = await steps.python(code, mailbox.port, connections=5)
        assert told(steps) == {"udp": "EACCES"}
        assert "with a limit on connections, datagrams go to the name servers only" in outcome.refused[0]
        assert mailbox.seen() == []

    play(scene, tmp_path)


def test_messages_on_streams_and_local_sockets(servers: list[Server], tmp_path: Path) -> None:
    """What is sent in the step's place arrives whole, with the descriptors that go with it."""
    needs("network")
    code = (
        TRYING
        + """
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
    data = bytes(range(256)) * 20_000
    while data:
        data = data[client.sendmsg([data[:1000], data[1000:]]):]
one, other = socket.socketpair(type=socket.SOCK_DGRAM)
reading, writing = os.pipe()
socket.send_fds(one, [b"take"], [writing, writing])
said, given, _, _ = socket.recv_fds(other, 100, 5)
os.write(given[1], b"through")
print(said, len(given), os.read(reading, 100))
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("mail")
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
print(one.sendto(b"letter", "mail"), one.sendmsg([b"let", b"ter"], [], 0, os.path.abspath("mail")))
print(server.recv(100), server.recv(100))
tries("nowhere", lambda: one.sendto(b"letter", "none"))
"""
    )

    async def scene(steps: Steps) -> None:
        task = asyncio.create_task(steps.python(code, servers[0].port, network=("127.0.0.1",)))
        client, _ = await asyncio.get_running_loop().sock_accept(servers[0].socket)
        with client:
            client.setblocking(False)
            size = 0
            while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                assert data[0] == size % 256
                size += len(data)
        assert size == 256 * 20_000
        await task
        assert steps.errors == ""
        assert steps.text.splitlines() == [
            "b'take' 2 b'through'",
            "6 6",
            "b'letter' b'letter'",
            "nowhere ENOENT",
        ]

    tmp_path.chmod(0o777)
    play(scene, tmp_path)
