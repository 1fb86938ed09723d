"""The expression language: values, names, errors, and what it must not reach or cost."""

from typing import Any

import pytest

from clew.graphs.expressions import ExpressionError, Reference, evaluate, is_template, parse, quoted

PAGE = {"title": "A b", "links": ["x", "y"], "items": [1], "n": 3, "ok": True, "none": None}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ page }}", PAGE),
        ("{{ page.links }}", ["x", "y"]),
        ("{{ page.links[-1] }}", "y"),
        ('{{ page["title"] }}', "A b"),
        ("{{ page.n }}", 3),
        ("{{ page.ok }}", True),
        ("{{ page.none }}", None),
        (" {{ page.n }}\n", 3),
        ("{{ '3' }}", "3"),
        ("{{ 3 }}", 3),
        ("{{ number }}", "12"),
        ("{{ page.n + 1 }}", 4),
        ("{{ page.n > 2 and page.ok }}", True),
        ("{{ 'many' if page.n > 2 else 'few' }}", "many"),
        ("{{ page.items }}", [1]),
        ("{{ page.links | map('upper') }}", ["X", "Y"]),
        ("{{ page.links | join(', ') }}", "x, y"),
        ("{{ ', '.join(page.links) }}", "x, y"),
        ("{{ page.title.lower().replace(' ', '-') }}", "a-b"),
        ("{{ page.title.split() }}", ["A", "b"]),
        ("{{ page.keys() | list | sort | first }}", "items"),
        ("{{ page.missing | default('none') }}", "none"),
        ("{{ absent | default(3) }}", 3),
        ("{{ page.missing is defined }}", False),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ [page.n, {'a': page.ok}] }}", [3, {"a": True}]),
        ("{{ text | fromjson }}", {"a": 1}),
        ("{{ 2.567 | round(1) }}", 2.6),
        ("{{ 7 // 2 * 2 ** 3 % 5 }}", 4),
        ("no expression", "no expression"),
        ("{{ page.title }} by {{ page.links }}", 'A b by ["x", "y"]'),
        ("{{ page.n }}{{ page.n }}", "33"),
        ("n: {{ page.n }}, {{ page.ok }}, {{ page.none }}", "n: 3, true, null"),
        ("{% {# ${#x} %} {{ page.n }} {{ '{{' }}", "{% {# ${#x} %} 3 {{"),
        ("{{ page.n }}\n{{ page.n }}\n", "3\n3\n"),
        ("é {{ umlaut }}", "é ü"),
        (
            "{{ page | json }}!",
            '{"title": "A b", "links": ["x", "y"], "items": [1], "n": 3, "ok": true, "none": null}!',
        ),
    ],
)
def test_values(source: str, value: Any) -> None:
    names = {"page": PAGE, "number": "12", "text": '{"a": 1}', "umlaut": "ü"}
    found = evaluate(source, names)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ page.titel }}", "there is no 'titel'; did you mean 'title'?"),
        ("{{ page.links[9] }}", "a list of 2 items has no 9"),
        ("{{ page.title.x }}", "text has no 'x'"),
        ("{{ page.n.real }}", "a number has no 'real'"),
        ("{{ page.none.x }}", "null has no 'x'"),
        ("{{ page.a.b.c }}", "there is no 'a'"),
        ("{{ pages }}", "'pages' is undefined"),
        ("x {{ pages }}", "'pages' is undefined"),
        ("{{ page.title.upper }}", "a method is no value"),
        ("{{ page.n + 'x' }}", "unsupported operand"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_errors_say_what_and_where(source: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, {"page": PAGE}, "audit.yaml: nodes.a.with.b")
    assert str(caught.value).startswith(f"audit.yaml: nodes.a.with.b: {source!r}: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ page", "a {{ is not closed"),
        ("{{ page..x }}", "expected name or number"),
        ("a\n{{ b c }}", "(its line 2)"),
        ("{{ page | shout }}", "there is no filter 'shout'; did you mean 'sort'?"),
        ("{{ page is odder }}", "there is no test 'odder'; did you mean 'odd'?"),
        ("{{ self }}", "the name 'self' is reserved"),
        ("{% for x in y %}{{ x }}{% endfor %}", "statements ({% for … %}) are not part of the language"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "nested too deeply"),
        ("{{ x }}" + "y" * 100_000, "100,000 is the most"),
    ],
)
def test_what_is_no_expression(source: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(source)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ page.__class__.__mro__ }}",
        "{{ ().__class__.__bases__[0].__subclasses__() }}",
        "{{ page.update({'a': 1}) }}",
        "{{ page.links.append(1) }}",
        "{{ page.pop('n') }}",
        "{{ '{0.__class__}'.format(page) }}",
        "{{ '{a.__class__}'.format_map(page) }}",
        "{{ page | attr('__class__') }}",
        "{{ page | map(attribute='__class__') | list | string }}",
        "{{ [page] | map(attribute='links.__class__') | list }}",
        "{{ range.__init__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler }}",
        "{{ namespace() }}",
        "{{ dict() }}",
        "{{ page.get.__self__ }}",
        "{{ page.title.encode() }}",
    ],
)
def test_nothing_but_plain_data_is_reached(source: str) -> None:
    before = repr(PAGE)
    with pytest.raises(ExpressionError):
        evaluate(source, {"page": PAGE})
    assert repr(PAGE) == before


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 1000000000 }}",
        "{{ 1000000000 * 'x' }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ range(1000000000) }}",
        "{{ range(10000) | join('x' * 10000) }}",
        "{{ ('x' * 10000).replace('x', 'y' * 10000) }}",
        "{{ ('x' * 10000).replace('', 'y' * 10000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ ('x' * 5000000) }}{{ ('x' * 5000001) }}",
    ],
)
def test_costs_are_bounded(source: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(source, {})


def test_what_is_known_of_a_text() -> None:
    found = parse(
        "{{ fetch.title.upper() }} {{ input.a[0].b }} {{ nodes['x-y'].z }} {{ range(input.n) }} {{ a[b] }}"
    )
    assert set(found.references) == {
        Reference("fetch", ("title",)),
        Reference("input", ("a", 0, "b")),
        Reference("nodes", ("x-y", "z")),
        Reference("input", ("n",)),
        Reference("a"),
        Reference("b"),
    }
    assert found.names == {"fetch", "input", "nodes", "a", "b"}
    assert not found.whole
    assert parse("{{ a.b[-1] }}").plain == Reference("a", ("b", -1))
    assert parse("{{ a.b + 1 }}").plain is None
    assert parse("{{ a.b + 1 }}").whole
    assert not is_template("{# no #} { x }")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("echo {{ word }}", "echo 'a; rm -rf b'"),
        ("echo {{ words }}", "echo x 'y z'"),
        ("echo {{- word | unquoted -}} !", "echoa; rm -rf b!"),
        ("echo '{{ word | unquoted }}' {{ number }}", "echo 'a; rm -rf b' 3"),
        ("echo {{ word | quote }}", "echo 'a; rm -rf b'"),
        ("echo {{ word + 'c' if number else '' }}", "echo 'a; rm -rf bc'"),
        ("echo \\\" {{ number }} \\'", "echo \\\" 3 \\'"),
        ("echo {{ '' }}", "echo ''"),
        ("{{ word }}", "'a; rm -rf b'"),
    ],
)
def test_values_in_a_line_of_shell_are_quoted(source: str, line: str) -> None:
    assert evaluate(quoted(source), {"word": "a; rm -rf b", "words": ["x", "y z"], "number": 3}) == line


@pytest.mark.parametrize(
    "source", ["echo '{{ x }}'", 'echo "{{ x }}"', 'echo "a \\" {{ x }}"', "echo 'a' '{{ x }}'"]
)
def test_quotes_around_an_expression_are_refused(source: str) -> None:
    with pytest.raises(ExpressionError, match="stands inside quotes"):
        quoted(source)
