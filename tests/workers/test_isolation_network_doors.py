"""Ways around the network filter that are closed: races, other doors, names, the other protocol."""

import socket
from pathlib import Path

import pytest
from isolation_bench import Steps, needs, offered, play
from isolation_network import TRYING, Server, mailbox, servers, told

__all__ = ["mailbox", "servers"]  # fixtures

pytestmark = pytest.mark.slow


def test_exchanging_the_address_or_the_socket_in_time_is_of_no_use(servers: list[Server], tmp_path: Path) -> None:
    """Another thread changes both while the call is being decided on; the forbidden server never sees anything."""
    needs("network")
    allowed, forbidden = servers
    code = (
        TRYING
        + """
import mmap
good, bad = map(int, sys.argv[1:])
def address(port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + bytes([127, 0, 0, 1]) + bytes(8)
shared = mmap.mmap(-1, 4096)
shared[:16] = address(good)
child = os.fork()
while not child:  # in a process of its own, so that it never waits for the other
    shared[2:4] = address(bad)[2:4]
    shared[2:4] = address(good)[2:4]
raw = (ctypes.c_char * 16).from_buffer(shared)
results = []
while len(results) < 3000 and not (results.count(0) >= 50 and results.count(errno.EACCES) >= 50):
    with socket.socket() as client:
        results.append(libc.connect(client.fileno(), raw, 16) and ctypes.get_errno())
os.kill(child, 9)
print(sorted(errno.errorcode.get(each, "done") for each in set(results)))
"""
    )
    allowed.socket.listen(4_000)

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(
            code, allowed.port, forbidden.port, network=(f"127.0.0.1:{allowed.port}",), wall_s=120
        )
        assert steps.errors == ""
        assert steps.text == "['EACCES', 'done']\n"
        assert outcome.violation is None
        assert forbidden.seen() == []

    play(scene, tmp_path)


def test_other_doors_are_closed(tmp_path: Path) -> None:
    needs("network")
    code = (
        TRYING
        + """
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
tries("io_uring", lambda: call(425, 8, ctypes.create_string_buffer(120)))
# A supervisor of its own: seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, ...)
number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
code = struct.pack("=HBBI", 6, 0, 0, 0x7fc00000)
buffer = ctypes.create_string_buffer(code, 8)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(buffer)), 16)
tries("listener", lambda: call(number, 1, 8, program))
if os.uname().machine == "x86_64":
    tries("x32", lambda: call(0x40000000 + 42, 3, 0, 0))
"""
    )

    async def scene(steps: Steps) -> None:
        await steps.python(code, network=("127.0.0.1",))
        results = told(steps)
        assert results.pop("x32", "ENOSYS") == "ENOSYS"
        assert results == {"io_uring": "ENOSYS", "listener": "EBUSY"}

    play(scene, tmp_path)


def test_names_and_networks(servers: list[Server], tmp_path: Path) -> None:
    needs("network")
    server = servers[0]
    code = TRYING + "tries('one', lambda: connect(int(sys.argv[1]), 'localhost'))"

    async def scene(steps: Steps) -> None:
        for network, result in (
            (("localhost",), "done"),
            ((f"localhost:{server.port}",), "done"),
            (("localhost:1", "127.0.0.0/8"), "done"),
            (("localhost:1", "10.0.0.0/8", "::1"), "EACCES"),
        ):
            steps.printed["stdout"].clear()
            await steps.python(code, server.port, network=network)
            assert told(steps) == {"one": result}, network

    play(scene, tmp_path)


def test_the_other_protocol(tmp_path: Path) -> None:
    needs("network")
    try:
        server = Server(family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    code = (
        TRYING
        + """
port = int(sys.argv[1])
tries("plain", lambda: connect(port, "::1", socket.AF_INET6))
tries("unspecified", lambda: connect(port, "::", socket.AF_INET6))
tries("mapped", lambda: connect(port, "::ffff:127.0.0.1", socket.AF_INET6))
tries("other", lambda: connect(port + 1, "::1", socket.AF_INET6))
"""
    )
    with server.socket:

        async def scene(steps: Steps) -> None:
            await steps.python(code, server.port, network=(f"[::1]:{server.port}",))
            assert told(steps) == {"plain": "done", "unspecified": "done", "mapped": "EACCES", "other": "EACCES"}
            assert server.seen() == [b"hello", b"hello"]

        play(scene, tmp_path)


def test_connections_are_counted_where_nothing_limits_them(servers: list[Server], tmp_path: Path) -> None:
    if not offered().notifications:
        pytest.skip(offered().why("notifications"))
    code = (
        TRYING
        + """
port = int(sys.argv[1])
for number in range(3):
    tries(number, lambda: connect(port))
socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", port))
local = socket.socket(socket.AF_UNIX)
tries("local", lambda: local.connect("none"))
"""
    )

    async def scene(steps: Steps) -> None:
        outcome = await steps.python(code, servers[0].port, wall_s=60)
        assert told(steps) == {"0": "done", "1": "done", "2": "done", "local": "ENOENT"}
        assert outcome.usage.connections == 3
        assert len(servers[0].seen()) == 3
        outcome = await steps.run("true")  # nothing is asked of it: it is not touched
        assert outcome.usage.connections is None

    play(scene, tmp_path)
