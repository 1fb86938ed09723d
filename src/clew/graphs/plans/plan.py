"""Plans in Python: steps that call tools, choose, repeat, ask and wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description, node_id
from clew.graphs.captures import Captures
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.graph import After, Graph
from clew.graphs.handles import Handle
from clew.graphs.limits import Limits
from clew.graphs.memories import MemoryOperation, memory
from clew.graphs.name_scopes import names_of
from clew.graphs.names import Place, caller
from clew.graphs.pauses import ask, wait
from clew.graphs.plan_drafts import PlanDraft
from clew.graphs.plans.choices import RESERVED as CHOICE_NAMES
from clew.graphs.plans.choices import write_choice
from clew.graphs.plans.loops import RESERVED as LOOP_NAMES
from clew.graphs.plans.loops import LoopOptions, LoopWriter, seen_by_body
from clew.graphs.plans.parts import BODY, ELSE, THEN, part, write_part
from clew.graphs.plans.registry import Given, tools_for
from clew.graphs.plans.rights import grants_of
from clew.graphs.plans.steps import Narrowing, Problems, bound, described, fill_step, step_draft
from clew.graphs.policies import NOT_GIVEN, Compensation, Exclusive, Options, Probe, Retry, Undoing, Uses
from clew.graphs.preconditions import Check
from clew.graphs.tools import Tool
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import ErrorPolicy, OnInterrupt

#: What is done in a branch or a loop: a plan (or another graph), or a function that writes one.
Part = Graph | Callable[..., Any]


class Plan(Graph):
    """A graph of steps: calls of tools, choices, loops, waits, questions; and all that other graphs have.

    Text in what a step is given may name steps and inputs, as in files: ``{{ fetch.title }} {{ input.url }}``.

    Args:
        name: what people call it.
        description: one line for people.
        tools: what steps may call: a registry; or functions, tools and modules of tools, besides those that come
            with Clew.
        permissions: what it grants the tools of its steps: ``read``, ``write`` and ``network`` (lists of places),
            ``shell``. What is not named is granted.
        limits: what all steps of a run may use together, by name, see `Limits`.
        folder: where its steps run; where the engine does, if not given.
        metadata: stored with the definition.
        best_effort: limits that a machine cannot hold to are left out there.
        rollback: a run that fails is rolled back: what was done is undone by the steps' compensations.
        on_error: what a step's failure means for the others: ``stop_graph``, ``skip_downstream`` or ``continue``.
        timeout: limit of a whole run, in seconds.
        max_concurrency: attempts that may run at once in a run.
        max_interruptions: how often one visit may be interrupted before it fails.

    Raises:
        InvalidInputError: two tools have the same name, or something is no tool.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        tools: Given | None = None,
        permissions: Mapping[str, Any] | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        folder: str = "",
        metadata: Mapping[str, Any] | None = None,
        best_effort: bool = False,
        rollback: bool = False,
        on_error: ErrorPolicy | str = ErrorPolicy.STOP_GRAPH,
        timeout: float | None = None,
        max_concurrency: int = 4,
        max_interruptions: int = 10,
    ) -> None:
        super().__init__(
            name,
            description=description,
            on_error=on_error,
            timeout=timeout,
            max_concurrency=max_concurrency,
            max_interruptions=max_interruptions,
            rollback=rollback,
            limits=limits,
            best_effort=best_effort,
        )
        self.draft.plan = PlanDraft(tools=tools_for(tools), folder=folder, metadata=dict(metadata or {}))
        if permissions is not None:
            try:
                self.draft.plan.permissions = grants_of(permissions)
            except InvalidInputError as error:
                self.draft.problems.append(self.draft.place.before(f"permissions: {error}"))

    # ------------------------------------------------------------------ steps

    def step(  # noqa: D417 -- what is not described is described in `Graph.add`
        self,
        tool: str | Tool | Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        retry: Retry | int | None = None,
        timeout: float | None = None,
        total_timeout: float | None = None,
        heartbeat: float | None = None,
        on_error: ErrorPolicy | str | None = None,
        on_interrupt: OnInterrupt | str | None = None,
        probe: Probe | None = None,
        exclusive: Exclusive | None = None,
        uses: Uses | None = None,
        priority: int | None = None,
        compensate: Undoing | Compensation | None = None,
        irreversible: bool | None = None,
        expected: float | None = None,
        checks: Sequence[Check] = (),
        read: Sequence[str] | None = None,
        write: Sequence[str] | None = None,
        network: Sequence[str] | None = None,
        shell: bool | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        best_effort: bool | None = None,
        folder: str | None = None,
        **more: Any,
    ) -> Handle:
        """Add a step that calls a tool.

        Args:
            tool: its name, or itself, or a function as one.
            arguments: by name: constants, text with ``{{ … }}`` in it, handles, or lists and mappings of them.
            id: unique in the plan; the tool's name if not given.
            depends_on: as in `Graph.add`, like all options up to `expected`; see also `Plan.call`.
            checks: what has to hold right before each attempt, see `check`.
            read: folders and files that the tool may read here; no more than it may anyway.
            write: folders and files that it may change here.
            network: where it may connect to; an empty list is nowhere.
            shell: False: it may not start programs.
            limits: what a call may use, by name, see `Limits`.
            best_effort: what a machine cannot hold it to is left out there.
            folder: where it runs; the plan's folder if not given.
            **more: arguments whose names are no options here.
        """
        options = Options(
            retry=retry, timeout=timeout, total_timeout=total_timeout, heartbeat=heartbeat, on_error=on_error,
            on_interrupt=on_interrupt, probe=probe, exclusive=exclusive, uses=uses, priority=priority,
            compensate=compensate, irreversible=irreversible, expected=expected,
        )  # fmt: skip
        narrowing = Narrowing(
            read=read, write=write, network=network, shell=shell,
            limits=limits, best_effort=best_effort, folder=folder,
        )  # fmt: skip
        problems: Problems = []
        body = described(tool, {**(arguments or {}), **more}, narrowing, self.draft, problems)
        return self._step(body, id, body or tool, options, depends_on, problems, checks)

    def call(self, tool: str | Tool | Callable[..., Any], /, **arguments: Any) -> Description:
        """Describe a call of a tool by its name: as a compensation, or for `map`.

        Args:
            tool: its name, or itself, or a function as one.
            **arguments: by name, as in `clew.call`.

        Raises:
            InvalidInputError: there is no such tool, or the plan does not grant what it needs.
        """
        problems: Problems = []
        body = described(tool, arguments, Narrowing(), self.draft, problems)
        if body is None or problems:
            raise InvalidInputError("; ".join(sentence for _, sentence in problems))
        return body

    def memory(
        self,
        operation: MemoryOperation,
        /,
        *,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        **given: Any,
    ) -> Handle:
        """Add a step that works on the memory that outlives runs; a rollback undoes it.

        Args:
            operation: ``store``, ``update``, ``delete``, ``get`` or ``search``.
            id: unique in the plan; ``memory`` if not given.
            depends_on: steps that have to be settled first although no data comes from them.
            **given: what `clew.memory` takes: ``namespace``, ``key``, ``value``, ...

        Returns:
            The handle of what the operation returns.
        """
        return self._describe(lambda: memory(operation, **given), "memory", id, depends_on)

    def ask(
        self,
        how: str,
        text: str | Handle,
        /,
        *,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        **given: Any,
    ) -> Handle:
        """Add a step that asks a person, and waits for the answer without holding anything.

        Args:
            how: ``confirm`` (a no fails the step as ``user cancelled``, unless ``required=False``), ``input``,
                ``choice``, or ``information``, which is only shown.
            text: what people read.
            id: unique in the plan; ``ask`` if not given.
            depends_on: steps that have to be settled first although no data comes from them.
            **given: ``type`` of an input, ``choices``, ``default``, ``timeout`` (seconds), ``required``.

        Returns:
            The handle of the answer.
        """
        return self._describe(lambda: ask(how, text, **given), "ask", id, depends_on)

    def wait(
        self,
        seconds: float | str | Handle | None = None,
        /,
        *,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        **given: Any,
    ) -> Handle:
        """Add a step that waits, without holding anything.

        Args:
            seconds: so long; a number, or text such as ``90s``, ``5m``.
            id: unique in the plan; ``wait`` if not given.
            depends_on: steps that have to be settled first although no data comes from them.
            **given: instead of seconds, ``until`` (a time with its time zone) or ``message`` (its name, with
                ``timeout`` and ``default``).

        Returns:
            The handle of the message.
        """
        return self._describe(lambda: wait(seconds, **given), "wait", id, depends_on)

    def choose(
        self,
        when: str | bool | Handle,
        /,
        then: Part,
        otherwise: Part | None = None,
        *,
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        on_error: ErrorPolicy | str | None = None,
        total_timeout: float | None = None,
        expected: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Handle:
        """Add a step that does one thing or another.

        Args:
            when: the condition: one expression (``{{ review.score > 3 }}``), or a handle.
            then: what is done if it holds: a plan (or graph), or a function that is given a new plan and writes
                it. Such a function may use handles of this plan, and returns what the branch returns, which is
                what its last step does if it returns nothing.
            otherwise: what is done if not; nothing, if it is not given.
            id: unique in the plan.
            depends_on: steps that have to be settled first although no data comes from them.
            on_error: what its failure means for the others.
            total_timeout: limit of the whole step, in seconds.
            expected: how long it is expected to take, in seconds.
            inputs: inputs of the branches whose names are also names of options here.
            **more: inputs of the branches by name, where these are plans.

        Returns:
            The handle of what the branch returns; nothing, if there is none to be done.
        """
        step, place = self.draft.free_id("choice") if id is None else id, caller()
        captures = Captures(self.draft, CHOICE_NAMES)
        parts = {THEN: then, **({ELSE: otherwise} if otherwise is not None else {})}
        branches = {name: self._part(each, f"{step}/{name}", place, captures) for name, each in parts.items()}
        problems: Problems = []
        given = bound(self.draft, {**(inputs or {}), **more}, problems)
        draft = write_choice(names_of(self.draft), step, place, when, branches, captures, given)
        options = Options(on_error=on_error, total_timeout=total_timeout, expected=expected)
        return self._placed(draft, options, depends_on, problems)

    def loop(  # noqa: D417 -- what is not described is described in `choose`
        self,
        body: Part,
        /,
        *,
        times: int | str | Handle | None = None,
        while_: str | Handle | None = None,
        until: str | Handle | None = None,
        over: Sequence[Any] | str | Handle | None = None,
        max_iterations: int | None = None,
        on_limit: str = "fail",
        id: str | None = None,  # noqa: A002 -- the word of the design
        depends_on: After = (),
        on_error: ErrorPolicy | str | None = None,
        total_timeout: float | None = None,
        expected: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Handle:
        """Add a step that does something again and again; just one of the first four says how often.

        In the body, and in conditions, ``{{ iteration }}`` is the number of the iteration, from 1, and
        ``{{ previous }}`` what the iteration before returned; in a condition that is asked after an iteration,
        ``{{ output }}`` is what that returned.

        Args:
            body: what is done: a plan (or graph) that takes what it wants to see as inputs, or a function that is
                given a new plan (and a `Loop`, if it needs two arguments) and writes it, as for `choose`.
            times: so often.
            while_: as long as this holds; asked before each iteration.
            until: until this holds; asked after each iteration.
            over: once per item of a list, one after the other; ``{{ item }}`` is the item. (For all items side by
                side, see `Graph.map`.)
            max_iterations: never more often; 100, or as often as `times` or `over` say.
            on_limit: what happens when it would be more: ``fail`` or ``stop``.
            id: as in `choose`; so are the options up to `expected`.
            inputs: inputs of the body whose names are also names of options here.
            **more: inputs of the body by name, where it is a plan.

        Returns:
            The handle of what the last iteration returned; of a loop over a list, of what all of them did.
        """
        step, place = self.draft.free_id("repeat") if id is None else id, caller()
        captures = Captures(self.draft, LOOP_NAMES)
        options = LoopOptions(
            times=times, while_=while_, until=until, over=over, max_iterations=max_iterations, on_limit=on_limit
        )
        inner = self._part(body, f"{step}/{BODY}", place, captures, options)
        problems: Problems = []
        given = bound(self.draft, {**(inputs or {}), **more}, problems)
        draft = LoopWriter(names_of(self.draft), step, place, captures, given).write(inner, options)
        policies = Options(on_error=on_error, total_timeout=total_timeout, expected=expected)
        return self._placed(draft, policies, depends_on, problems)

    # ------------------------------------------------------------------ how steps are written

    def _describe(
        self, describe: Callable[[], Description], named: str, id_: str | None, depends_on: After
    ) -> Handle:
        """A step whose body is described; what is wrong with that is told of the step."""
        try:
            return self._step(describe(), id_, named, NOT_GIVEN, depends_on, [])
        except InvalidInputError as error:
            wrong = ("", str(error).removeprefix(f"{named}: "))
            return self._step(None, id_, named, NOT_GIVEN, depends_on, [wrong])

    def _step(
        self,
        body: Description | None,
        id_: str | None,
        named: Any,
        options: Options,
        depends_on: After,
        problems: Problems,
        checks: Sequence[Check] = (),
    ) -> Handle:
        step = id_ if id_ is not None else self.draft.free_id(node_id(named))
        draft = step_draft(body, step, options, caller(), self.draft, problems)
        draft.after = self._after(draft, depends_on)
        fill_step(draft, names_of(self.draft), checks)
        return self._place(draft)

    def _placed(self, draft: Draft, options: Options, depends_on: After, problems: Problems) -> Handle:
        draft.options = options
        draft.problems += problems
        draft.after = self._after(draft, depends_on)
        return self._place(draft)

    def _part(
        self, written: Part, name: str, place: Place, captures: Captures, loop: LoopOptions | None = None
    ) -> GraphDraft:
        """A branch, or the body of a loop: as it is, or written by a function."""
        if isinstance(written, WrittenGraph):
            return written.draft
        draft = part(self.draft, name, place, captures)
        seen = seen_by_body(draft, loop) if loop is not None else None
        return write_part(Plan.of(draft), written, seen)
