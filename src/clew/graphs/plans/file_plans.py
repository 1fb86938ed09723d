"""A plan in a file: its tools, its steps, and the steps inside of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from clew.errors import InvalidInputError
from clew.graphs.captures import Captures
from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.file_bodies import Problems, ReadFile, ReadInPlace, begun, listed_names, places_of_fields
from clew.graphs.file_nodes import NodeReader, Surroundings
from clew.graphs.forms import Wrong, bad_below, broken, is_named, readable, without
from clew.graphs.importing import ImportProblem, import_from, import_module, importable, refuse_missing
from clew.graphs.name_scopes import TAKEN
from clew.graphs.names import Place
from clew.graphs.plan_drafts import PlanDraft
from clew.graphs.plans.choices import RESERVED as CHOICE_NAMES
from clew.graphs.plans.choices import write_choice
from clew.graphs.plans.file_steps import StepBodies, ids_inside, named_after, read_checks
from clew.graphs.plans.loops import RESERVED as LOOP_NAMES
from clew.graphs.plans.loops import LoopOptions, LoopWriter, seen_by_body
from clew.graphs.plans.parts import BODY, ELSE, THEN, part, returns_last
from clew.graphs.plans.registry import builtin
from clew.graphs.plans.rights import grants_of
from clew.graphs.plans.steps import add_checks
from clew.graphs.server_files import servers_in
from clew.graphs.templates import Template
from clew.graphs.tools import Tools
from clew.kernel.values import Binding, FromInput

#: Reads the inputs of a graph: the graph, their address, what stands there, and which of them have no right form.
ReadInputs = Callable[[GraphDraft, Keys, dict[str, Any], set[str | int]], None]
_LOOP_FIELDS = ("times", "while", "until", "over", "max_iterations", "on_limit")


def is_plan(data: dict[str, Any]) -> bool:
    """Whether a graph of a file is a plan; the schema tells them apart in the same way."""
    return "steps" in data


class PlanReader:
    """Reads one plan of a file.

    Args:
        document: the file.
        read_file: reads another graph file.
        read_in_place: reads a graph that stands in a step.
        read_inputs: reads what a run is started with.
        wrong: what in the file does not have the form.
    """

    def __init__(
        self,
        document: Document,
        read_file: ReadFile,
        read_in_place: ReadInPlace,
        read_inputs: ReadInputs,
        wrong: Wrong,
    ) -> None:
        self._document = document
        self._files = read_file, read_in_place
        self._read_inputs = read_inputs
        self._wrong = wrong

    def read(self, keys: Keys, data: dict[str, Any]) -> GraphDraft:
        """The plan.

        Args:
            keys: its address in the file.
            data: what stands there.
        """
        data = without(data, keys, self._wrong, ("steps", "inputs"))
        graph = begun(self._document, keys, {**({"name": data["id"]} if "id" in data else {}), **data})
        graph.on_error = data.get("on_error", "stop_graph")
        graph.unread = "steps" not in data
        graph.plan = PlanDraft(
            tools=self._tools(graph, (*keys, "tools"), listed_names(data.get("tools", ()))),
            folder=data.get("folder", ""),
            metadata=data.get("metadata", {}),
        )
        if "servers" in data:
            graph.plan.servers, told = servers_in(self._document, (*keys, "servers"), data["servers"])
            graph.problems += told
        if "permissions" in data:
            graph.plan.permissions = grants_of(data["permissions"])
        self._read_inputs(graph, keys, data.get("inputs", {}), bad_below((*keys, "inputs"), self._wrong))
        around = self._steps(graph, (*keys, "steps"), data.get("steps", []))
        if "returns" in data:
            self._returns(around, (*keys, "returns"), data["returns"])
        return graph

    # ------------------------------------------------------------------ tools

    def _tools(self, graph: GraphDraft, keys: Keys, names: list[str]) -> Tools:
        tools = builtin()
        for i, name in enumerate(names):
            try:
                self._add_tools(tools, name)
            except (ImportProblem, InvalidInputError) as error:
                place = self._document.place((*keys, i))
                graph.problems.append(place.before(f"tools: {error}"))
        return tools

    def _add_tools(self, tools: Tools, name: str) -> None:
        folder = self._document.path.parent
        if name.endswith(".py"):
            path = folder / name
            refuse_missing(path)
            with importable(path.parent):
                module = import_module(path.stem, path.parent)
        elif ":" in name:
            found = import_from(name, folder)
            for each in found if isinstance(found, Tools) else (found,):
                tools.add(each)
            return
        else:
            module = import_module(name, folder)
        added = tools.add_module(module)
        if not added:
            raise ImportProblem(
                f"there are no tools in {name!r}; mark its functions with @tool, or write {name}:NAME"
            )

    # ------------------------------------------------------------------ steps

    def _steps(
        self,
        graph: GraphDraft,
        keys: Keys,
        data: Any,
        own: Mapping[str, Binding] | None = None,
        outer: Surroundings | None = None,
    ) -> Surroundings:
        """Read the steps of a plan, or of a part of a step.

        Args:
            graph: takes them.
            keys: their address.
            data: a list, or a mapping by id.
            own: what has a name besides.
            outer: what can be named around.
        """
        steps = self._by_id(graph, data)
        around = Surroundings(graph, self._document, [step_id for step_id, _, _ in steps], own, outer)
        around.inside = {name: step_id for step_id, _, step in steps for name in ids_inside(step)}
        bodies = StepBodies(graph, self._document, *self._files)
        reader = NodeReader(around, *self._files, bodies)
        for step_id, key, step in steps:
            at = (*keys, key)
            if not is_named(at, self._wrong):
                continue
            kept = readable(step, at, self._wrong)
            if kept is None:
                draft = broken(self._document, at, step_id)
            elif "if" in kept or "loop" in kept:
                draft = self._parted(step_id, at, kept, around, bodies)
            else:
                draft = reader.read(step_id, at, kept)
                self._checks(draft, at, kept.get("checks", ()), around, bodies)
            graph.place_node(draft)
        return around

    def _checks(self, draft: Draft, keys: Keys, data: Any, around: Surroundings, bodies: StepBodies) -> None:
        document, plan = self._document, around.graph.plan
        assert plan is not None
        checks = read_checks(draft, data, bodies)
        for i, _ in enumerate(data):
            draft.places[f"checks[{i}]"] = document.place((*keys, "checks", i))

        def template(about: str) -> Template:
            def report(_: object, sentence: str) -> None:
                draft.report(about, sentence)

            where = f"{document.path.name}: {_address(keys)}.{about}"
            return Template(around.scope(draft.named_inputs), where, report)

        add_checks(draft, checks, plan.tools, template)

    def _by_id(self, graph: GraphDraft, steps: Any) -> list[tuple[str, str | int, dict[str, Any]]]:
        """Id, key in the file and content of each step; a step of a list needs no id."""
        if isinstance(steps, dict):
            pairs = cast("dict[str, Any]", steps).items()
            return [(name, name, cast("dict[str, Any]", s) if isinstance(s, dict) else {}) for name, s in pairs]
        counting = GraphDraft(name="", plan=graph.plan)
        found: list[tuple[str, str | int, dict[str, Any]]] = []
        for i, each in enumerate(cast("list[Any]", steps)):
            step = cast("dict[str, Any]", each if isinstance(each, dict) else {})
            given = step.get("id")
            step_id = given if isinstance(given, str) else counting.free_id(named_after(step))
            counting.index.setdefault(step_id, Draft(id=step_id, place=counting.place, body=None))
            found.append((step_id, i, step))
        return found

    def _parted(
        self, step_id: str, keys: Keys, data: dict[str, Any], around: Surroundings, bodies: StepBodies
    ) -> Draft:
        """A step that is made of parts."""
        problems: Problems = []
        options = bodies.options(data, problems)
        draft = (self._choice if "if" in data else self._loop)(step_id, keys, data, around, problems)
        draft.options = options
        draft.problems += problems
        draft.places |= places_of_fields(self._document, keys, data)
        draft.places["depends_on"] = self._place((*keys, "needs" if "needs" in data else "depends_on"))
        for name in _LOOP_FIELDS:
            draft.places.setdefault(name, self._place((*keys, "loop", name)))
        draft.after = tuple(name for key in ("needs", "depends_on") for name in listed_names(data.get(key, ())))
        if step_id in TAKEN:
            draft.report("id", f"{step_id!r} has a meaning of its own in expressions; choose another id")
        for name in ("map", "with"):
            if name in data:
                draft.report(
                    name, "is not for choices and loops; steps inside of them name all that is around them"
                )
        return draft

    def _choice(
        self, step_id: str, keys: Keys, data: dict[str, Any], around: Surroundings, problems: Problems
    ) -> Draft:
        captures = Captures(around.graph, CHOICE_NAMES)
        branches: dict[str, GraphDraft] = {}
        for name in (THEN, ELSE):
            if name in data:
                at = (*keys, name)
                branches[name] = part(around.graph, f"{step_id}/{name}", self._place(at), captures)
                self._steps(branches[name], at, data[name], outer=around)
                returns_last(branches[name])
        if THEN not in branches:
            problems.append(("if", "needs `then`: what is done if it holds"))
            branches = {THEN: part(around.graph, f"{step_id}/{THEN}", self._place(keys), captures), **branches}
            branches[THEN].unread = True
        place = self._document.place(keys, of_key=True)
        return write_choice(around, step_id, place, data["if"], branches, captures, {}, called=self._called(keys))

    def _loop(
        self, step_id: str, keys: Keys, data: dict[str, Any], around: Surroundings, problems: Problems
    ) -> Draft:
        problems += ((name, "is for steps with `if`") for name in (THEN, ELSE) if name in data)
        fields: dict[str, Any] = data["loop"]
        at = (*keys, "loop")
        captures = Captures(around.graph, LOOP_NAMES)
        body = part(around.graph, f"{step_id}/{BODY}", self._place((*at, "steps")), captures)
        options = LoopOptions(
            times=_whole(fields.get("times")),
            while_=fields.get("while"),
            until=fields.get("until"),
            over=fields.get("over"),
            max_iterations=_whole(fields.get("max_iterations")),
            on_limit=fields.get("on_limit", "fail"),
        )
        seen_by_body(body, options)
        assert body.plan is not None
        own = {name: FromInput(name) for name in body.plan.own}
        inside = self._steps(body, (*at, "steps"), fields.get("steps", []), own, around)
        if "returns" in fields:
            self._returns(inside, (*at, "returns"), fields["returns"])
        returns_last(body)
        place = self._document.place(keys, of_key=True)
        return LoopWriter(around, step_id, place, captures, {}, called=self._called(at)).write(body, options)

    def _returns(self, around: Surroundings, keys: Keys, value: Any) -> None:
        graph, document = around.graph, self._document

        def report(inner: Keys, sentence: str) -> None:
            graph.problems.append(document.place((*keys, *inner)).before(f"returns: {sentence}"))

        where = f"{document.path.name}: {_address(keys)}"
        graph.output = Template(around.scope({}), where, report).binding(value)
        graph.output_place = document.place(keys)

    def _place(self, keys: Keys) -> Place:
        return self._document.place(keys)

    def _called(self, keys: Keys) -> str:
        return f"{self._document.path.name}: {_address(keys)}"


def _address(keys: Keys) -> str:
    return ".".join(map(str, keys))


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
