"""What has to hold for all that is told of a run, whatever befell it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clew import Recorded
from clew.engine import stream_items as i
from clew.engine.narrator import Narrator
from clew.engine.state_changes import applied
from clew.kernel.cells import plain
from clew.kernel.fold import group_at
from clew.kernel.topology import Topology
from clew.kernel.visits import Walk

ENDS = (i.NodeFinished, i.NodeFailed, i.NodeRetrying, i.NodeInterrupted, i.NodeSkipped, i.NodeCancelled)
ENDINGS = (i.Complete, i.Error, i.Cancelled, i.RolledBack, i.RollbackFailed)
_DECODER = msgspec.json.Decoder(i.StreamItem)


@dataclass
class Audience:
    """Somebody who is told everything of a run, believes it, and notices what does not fit.

    Attributes:
        wrong: what did not.
        spans: attempts under way, by span, with their addresses; those that have been, too.
        states: of the state graphs, told by changes alone.
        open: graphs, parallel nodes and branches that have begun and not ended.
    """

    wrong: list[str] = field(default_factory=list)
    spans: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: set[tuple[str, str]] = field(default_factory=set)
    ended: bool = False

    def expect(self, holds: object, what: str, item: Any) -> None:
        if not holds:
            self.wrong.append(f"{what}: {item}")

    def hear(self, item: Any) -> None:
        """The next item."""
        self.expect(_DECODER.decode(msgspec.json.encode(item)) == item, "it is another one as JSON", item)
        lasted = getattr(item, "duration_s", None)
        self.expect(lasted is None or lasted >= 0, "it took less than no time", item)
        goes_on = isinstance(item, i.GraphStarted | i.RollbackStarted)
        self.expect(not self.ended or goes_on, "the run had ended", item)
        self.ended = isinstance(item, ENDINGS)
        match item:
            case i.GraphStarted(path=path):
                self.begin("graph", path, item)
                if not path:
                    self.known.add(item.span_id)
            case i.GraphEnded(path=path):
                self.end("graph", path, item)
            case i.NodeStarted():
                self.start(item)
            case i.ParallelStarted(path=path):
                self.begin("parallel", path, item)
            case i.ParallelJoined(path=path):
                self.end("parallel", path, item)
                left = [each for what, each in self.open if what == f"branch of {path}"]
                self.expect(not left, f"branches go on: {left}", item)
                self.expect(sum(item.counts.values()) >= len(item.counts), "it counts nothing", item)
            case i.BranchStarted(path=path):
                self.begin(f"branch of {item.parallel}", path, item)
            case i.BranchEnded(path=path):
                begun = (f"branch of {item.parallel}", path) in self.open
                self.expect(begun or item.duration_s is None, "it had not begun", item)
                self.open.discard((f"branch of {item.parallel}", path))
            case i.StateChanged(path=path):
                before = {} if item.begins else self.states[path]
                self.states[path] = applied(before, item.changes)
                self.expect(item.begins or self.states[path] != before, "nothing has changed", item)
            case i.Values():
                self.expect(item.state == self.states[""], "the changes tell another state", item)
            case _ if self.ended:
                self.finish(item)
            case _ if isinstance(item, ENDS):
                begun = self.spans.pop(item.span_id, "")
                self.expect(begun in {"", item.path}, "the span is another's", item)
                self.expect(bool(begun) is (item.duration_s is not None), "it lasts without being there", item)

    def start(self, item: i.NodeStarted) -> None:
        self.expect(item.span_id not in self.known, "its span was there before", item)
        self.expect(item.parent_id in self.known, "what it is a part of did not begin", item)
        self.expect(item.path not in self.spans.values(), "it runs already", item)
        self.expect(not item.discards or item.attempt > 1, "nothing can be discarded", item)
        self.known.add(item.span_id)
        self.spans[item.span_id] = item.path

    def begin(self, what: str, path: str, item: Any) -> None:
        self.expect((what, path) not in self.open, "it had begun", item)
        self.open.add((what, path))

    def end(self, what: str, path: str, item: Any) -> None:
        self.expect((what, path) in self.open, "it had not begun", item)
        self.open.discard((what, path))

    def finish(self, item: Any) -> None:
        self.expect(not self.spans, f"these go on: {sorted(self.spans.values())}", item)
        self.expect(not self.open, f"these have not ended: {sorted(self.open)}", item)
        self.expect(len(item.trace_id) == 32, "it has no trace", item)
        self.expect(item.state is None or item.state == self.states[""], "it ends with another state", item)
        times = [entry.started_at for entry in item.log]
        self.expect(times == sorted(times), "the log is in disorder", item)
        going = [entry for entry in item.log if entry.duration_s is None]
        self.expect(not going, f"the log says that these go on: {going}", item)


def told(run: str, topology: Topology, events: Sequence[Recorded]) -> Iterator[tuple[Recorded, list[Any]]]:
    """Everything that is told of each event of a run; what would be read from a journal is missing."""
    narrator = Narrator(run, topology, values=True)
    for recorded in events:
        items = [each.item for each in narrator.tell(recorded)]
        for item in items:
            if isinstance(item, i.StateChanged):
                walk = group_at(narrator.run, item.path)
                assert isinstance(walk, Walk)
                narrator_state = plain(walk.cells)
                items.append(_State(item.path, narrator_state))
        yield recorded, items


class _State(msgspec.Struct):
    """What the state of a state graph really is."""

    path: str
    state: dict[str, Any]


def broken(run: str, topology: Topology, events: Sequence[Recorded]) -> list[str]:
    """What is wrong with what is told of a run."""
    audience = Audience()
    for recorded, items in told(run, topology, events):
        changed = False
        for item in items:
            if isinstance(item, _State):
                audience.expect(audience.states[item.path] == item.state, "the state is another", item)
                continue
            audience.expect((item.seq, item.at) == (recorded.seq, recorded.event.at), "it is of no event", item)
            changed |= isinstance(item, i.StateChanged) and not item.path
            audience.expect(not isinstance(item, i.Values) or changed, "the state had not changed", item)
            audience.hear(item)
        shows = any(isinstance(item, i.Values) for item in items)
        audience.expect(shows or not changed, "the state has changed", recorded)
        if audience.wrong:
            return audience.wrong
    return audience.wrong
