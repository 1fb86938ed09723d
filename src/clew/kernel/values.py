"""Values as the machine sees them: opaque references, and where a node's inputs come from.

The machine never looks into a value. A small one travels inline as the JSON text it is stored as, a large
one as the digest of a blob in the journal's own database, and the output of a composite node (a map, a
sub-graph) is not stored a second time: it is gathered from the outputs of its parts.

A *binding* says where an input comes from. In a definition it names graph inputs and nodes; `resolve` in
`machine` turns it into a tree whose leaves are `Known` values, which needs no graph to be read.
"""

from __future__ import annotations

import msgspec

NULL = msgspec.Raw(b"null")
#: No JSON text at all. (msgspec decodes no `Raw | None`, so absence is the empty one, which is false.)
NOTHING = msgspec.Raw(b"")


class Value(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A reference to one stored value.

    Exactly one of three forms: `json` (inline, else empty), `blob` (hex SHA-256 of its JSON text, with `size` in
    bytes), or `gathered` (the output of a composite node, read from its parts).
    """

    json: msgspec.Raw = NOTHING
    blob: str = ""
    size: int = 0
    gathered: bool = False


NONE = Value(json=NULL)
GATHERED = Value(gathered=True)


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Cell(msgspec.Struct, omit_defaults=True):
    """The value of one key. Never changed once it is made, but for what it remembers.

    Attributes:
        json: the whole value as JSON text; empty as long as nobody asked for it.
        items: the elements of a list, of which the first `count` belong to this cell.
        count: how many they are.
        fields: the fields of an object.
        size: bytes of JSON text, nearly.
    """

    json: msgspec.Raw = NOTHING
    items: list[msgspec.Raw] | None = None
    count: int = 0
    fields: dict[str, msgspec.Raw] | None = None
    size: int = 0

    def text(self) -> msgspec.Raw:
        """The value as JSON text."""
        if not self.json:
            if self.items is not None:
                self.json = msgspec.Raw(b"[" + b",".join(map(bytes, self.items[: self.count])) + b"]")
            else:
                self.json = msgspec.Raw(msgspec.json.encode(self.fields))
        return self.json

    def elements(self) -> list[msgspec.Raw]:
        """The elements of a list; those beyond `count` are not of this cell.

        Raises:
            msgspec.DecodeError: it is no list.
        """
        if self.items is None:
            self.items = _LIST.decode(self.json)
            self.count = len(self.items)
        return self.items

    def members(self) -> dict[str, msgspec.Raw]:
        """The fields of an object.

        Raises:
            msgspec.DecodeError: it is no object.
        """
        if self.fields is None:
            self.fields = _OBJECT.decode(self.text())
        return self.fields


Cells = dict[str, Cell]


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    """A constant, written in the definition as JSON text."""

    json: msgspec.Raw


class FromInput(msgspec.Struct, frozen=True, tag="input"):
    """An input of the enclosing graph."""

    name: str


class FromNode(msgspec.Struct, frozen=True, tag="node"):
    """The output of a node of the same graph; the link is a dependency by itself."""

    node: str


class FromItem(msgspec.Struct, frozen=True, tag="item"):
    """The item that a mapped node is run for."""


class FromState(msgspec.Struct, frozen=True, tag="state", omit_defaults=True):
    """A key of the state of the enclosing state graph, as it is when the node starts; all of it without a key."""

    key: str = ""


class FromOutput(msgspec.Struct, frozen=True, tag="output"):
    """What the node's own body returned; only in what a node sets."""


class Pick(msgspec.Struct, frozen=True, tag="pick"):
    """A part of another binding: fields and indexes, outermost first."""

    of: Binding
    path: tuple[str | int, ...]


class ListOf(msgspec.Struct, frozen=True, tag="list"):
    """A list put together from bindings."""

    items: tuple[Binding, ...]


class DictOf(msgspec.Struct, frozen=True, tag="dict"):
    """A mapping put together from bindings."""

    items: dict[str, Binding]


class Expression(msgspec.Struct, frozen=True, tag="expression", omit_defaults=True):
    """Text of the expression language, and the bindings its names stand for.

    Attributes:
        source: the text, e.g. ``{{ fetch.title }} by {{ input.author }}``.
        names: what each top-level name of the text means.
        where: file and key the text was read from, for messages.
    """

    source: str
    names: dict[str, Binding]
    where: str = ""


class Known(msgspec.Struct, frozen=True, tag="known", omit_defaults=True):
    """A resolved leaf: a value that is on disk; `given` if the run was started with it, and no node made it."""

    value: Value
    given: bool = False


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """A resolved leaf without a value: its node failed, and the graph goes on (``on_error="continue"``)."""

    node: str


class View(msgspec.Struct, frozen=True, tag="view"):
    """A resolved leaf: the state of a state graph, key by key."""

    cells: Cells


Binding = (
    Literal
    | FromInput
    | FromNode
    | FromItem
    | FromState
    | FromOutput
    | Pick
    | ListOf
    | DictOf
    | Expression
    | Known
    | Absent
    | View
)


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message that lies in a mailbox, and who sent it; `number` is that of the event by which it arrived."""

    value: Value
    by: str = ""
    number: int = 0


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a step of a body is undone: told by the step, because no definition knows it.

    Attributes:
        kind: what performs it, as of a node.
        body: the body's own description, opaque here; JSON text.
        inputs: what it is given, by name.
        output: name of the input that is given what the step returned; empty if none is.
    """

    kind: str
    body: msgspec.Raw
    inputs: dict[str, Value] = {}
    output: str = ""


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as a fact: what can be stored, shown and matched by a retry policy.

    Attributes:
        type: name of the error's class, e.g. ``ValueError``, or one of Clew's kinds (``timeout``,
            ``interrupted``, ``unstorable``, ``invalid input``, ``lost item``, ...).
        message: one paragraph for a person.
        classes: names of the class and its bases, most special first; retry policies match on these.
        retryable: False is never retried; True is, whatever its class, while attempts are left; None leaves it
            to the policy.
        retry_after_s: the least delay that a server asked for, in seconds.
        traceback: the traceback as text, secrets masked.
    """

    type: str
    message: str
    classes: tuple[str, ...] = ()
    retryable: bool | None = None
    retry_after_s: float | None = None
    traceback: str = ""


def references(binding: Binding) -> frozenset[str]:
    """The nodes whose outputs `binding` names, at any depth."""
    match binding:
        case FromNode(node=node):
            return frozenset((node,))
        case Pick(of=of):
            return references(of)
        case ListOf(items=items):
            return frozenset[str]().union(*map(references, items))
        case DictOf(items=items) | Expression(names=items):
            return frozenset[str]().union(*map(references, items.values()))
        case _:
            return frozenset()
