"""Bindings become recipes whose leaves are stored values."""

from __future__ import annotations

import pytest
from play import Play, graph, literal, mapped, node, value

from clew.kernel import commands as c
from clew.kernel.definition import ErrorPolicy, InputSpec
from clew.kernel.errors import KernelError
from clew.kernel.machine import Machine
from clew.kernel.resolve import output_of_group
from clew.kernel.signals import Admit, MapExpanded
from clew.kernel.topology import compile_graph
from clew.kernel.values import (
    NOTHING,
    Absent,
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromItem,
    FromNode,
    Known,
    ListOf,
    Literal,
    Pick,
    Value,
)

A = FromNode("a")


def inputs_of(play: Play, path: str) -> dict[str, Binding]:
    """The inputs of an attempt that the last decision started."""
    return next(x.inputs for x in play.commands(c.StartAttempt) if x.path == path)


def admitted(given: dict[str, Value], *nodes, **options) -> list[c.Command]:
    machine = Machine(compile_graph(graph(*nodes, **options)))
    return machine.handle([Admit(run="run", graph="", definition="", inputs=given)], 0.0).commands


@pytest.mark.parametrize(
    ("binding", "recipe"),
    [
        (A, Known(value("a"))),
        (literal(1), literal(1)),
        (Known(value(1)), Known(value(1))),
        (Pick(A, ("title", 0)), Pick(Known(value("a")), ("title", 0))),
        (ListOf((A, literal(1))), ListOf((Known(value("a")), literal(1)))),
        (DictOf({"k": A}), DictOf({"k": Known(value("a"))})),
        (Expression("{{ a }}", {"a": A}, "f.yaml"), Expression("{{ a }}", {"a": Known(value("a"))}, "f.yaml")),
    ],
)
def test_outputs_take_the_place_of_their_nodes(binding: Binding, recipe: Binding):
    play = Play(node("a"), node("b", "a", inputs={"x": binding}))
    play.succeed("a")
    assert inputs_of(play, "b") == {"x": recipe}


def test_an_input_of_the_run_is_known():
    (command,) = admitted({"x": value(1)}, node("a", inputs={"x": FromInput("x")}))
    assert command.inputs == {"x": Known(value(1), given=True)}


def test_an_input_that_was_not_given_has_its_default():
    specs = (InputSpec(name="w"), InputSpec(name="x", default=literal(7).json))
    (command,) = admitted({}, node("a", inputs={"x": FromInput("x")}), inputs=specs)
    assert command.inputs == {"x": literal(7)}


def test_an_input_that_does_not_exist_is_a_fault():
    with pytest.raises(KernelError, match="graph play has no input x"):
        admitted({}, node("a", inputs={"x": FromInput("x")}))


def test_a_sub_graph_is_given_its_inputs_by_its_node():
    specs = (InputSpec(name="x"), InputSpec(name="y"))
    inner = graph(node("b", inputs={"x": FromInput("x"), "y": FromInput("y")}), inputs=specs)
    play = Play(node("a"), node("g", graph=inner, inputs={"x": A}))
    play.succeed("a")
    assert inputs_of(play, "g/b") == {"x": Known(value("a")), "y": Literal(specs[1].default)}


def test_a_failed_node_leaves_its_place_empty():
    inputs = {"x": A, "y": Pick(A, (0,)), "z": ListOf((A,))}
    play = Play(node("a", on_error=ErrorPolicy.CONTINUE), node("b", inputs=inputs))
    play.fail("a")
    assert inputs_of(play, "b") == {"x": Absent("a"), "y": Absent("a"), "z": ListOf((Absent("a"),))}


def test_an_item_is_picked_from_the_list():
    play = Play(mapped("m"))
    play.expand("m", 2)
    assert inputs_of(play, "m[1]") == {"item": Pick(Known(value([0, 1])), (1,))}


def test_an_item_is_picked_from_its_node_if_the_list_is_its_output():
    play = Play(node("a"), mapped("m", over=Pick(A, ("files",))))
    play.succeed("a")
    assert play.commands(c.ExpandMap)[0].over == Pick(Known(value("a")), ("files",))
    play.hand(MapExpanded(path="m", count=1))
    assert inputs_of(play, "m[0]") == {"item": Pick(Pick(Known(value("a")), ("files",)), (0,))}


def test_an_item_of_a_map_over_a_map_is_the_output_of_that_item():
    play = Play(mapped("m"), mapped("n", over="m"))
    play.expand("m", 1)
    play.succeed("m[0]")
    assert inputs_of(play, "n[0]") == {"item": Known(value("m[0]"))}


def test_an_item_may_be_given_to_a_sub_graph():
    inner = graph(node("a", inputs={"x": FromInput("x")}), inputs=(InputSpec(name="x"),))
    play = Play(mapped("m", graph=inner, inputs={"x": FromItem()}))
    play.expand("m", 1)
    assert inputs_of(play, "m[0]/a") == {"x": Pick(Known(value([0])), (0,))}


def test_a_map_returns_its_successes_in_order():
    play = Play(mapped("m", collect=True), node("b", inputs={"x": FromNode("m")}))
    play.expand("m", 3)
    play.succeed("m[2]")
    play.fail("m[1]")
    play.succeed("m[0]")
    assert inputs_of(play, "b") == {"x": ListOf((Known(value("m[0]")), Known(value("m[2]"))))}


def test_a_graph_returns_what_it_says():
    inner = graph(node("a"), node("b", "a"), output=DictOf({"first": A}))
    play = Play(node("g", graph=inner), node("z", inputs={"x": FromNode("g")}))
    play.succeed("g/a")
    play.succeed("g/b")
    assert inputs_of(play, "z") == {"x": DictOf({"first": Known(value("g/a"))})}


def test_a_graph_that_says_nothing_returns_its_last_nodes():
    play = Play(node("a"), node("b", "a"), node("c", "a"))
    play.succeed("a")
    play.succeed("b", "c")
    assert output_of_group(play.run, play.run.root) == DictOf({"b": Known(value("b")), "c": Known(value("c"))})


def test_what_was_never_reached_is_absent():
    play = Play(node("a"), node("b", "a"))
    play.fail("a")
    assert output_of_group(play.run, play.run.root) == DictOf({"b": Absent("b")})


def test_a_value_without_json_has_none():
    assert not Value(blob="abc").json
    assert Value(blob="abc").json == NOTHING
