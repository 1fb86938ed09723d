"""The ranking and the page of `examples/audit`: reasons, determinism, and everything shown."""

import json
from pathlib import Path

import pytest
from audit_trees import SHOP, audit, imports_only, plant
from code_audit import hot_spots, report, rings
from code_audit.hot_spots import percentile_ranks, rank
from code_audit.import_graph import combine


def test_ranks_are_shares_of_what_is_smaller():
    assert percentile_ranks([5, 0, 0, 10, 5]) == [0.5, 0.0, 0.0, 1.0, 0.5]
    assert percentile_ranks([7]) == [0.0]
    assert percentile_ranks([]) == []


def test_the_hottest_file_comes_first_with_its_reasons(tmp_path):
    _, _, ranking = audit(plant(tmp_path, SHOP))
    hottest = ranking.spots[0]
    assert hottest.file == "shop/cart.py"
    assert hottest.reasons[0] == "Cart.total (line 9) has a complexity of 5"
    assert "broken.py" not in [spot.file for spot in ranking.spots]
    assert all(0 <= spot.score <= sum(hot_spots.WEIGHTS.values()) == 100 for spot in ranking.spots)


# The page


def test_the_same_tree_gives_the_same_page(tmp_path):
    root = plant(tmp_path / "tree", SHOP)
    reports, graph, ranking = audit(root)
    first = report.write_report(root, reports, graph, ranking, str(tmp_path / "out" / "a.html"))
    again = report.write_report(root, *audit(root), str(tmp_path / "b.html"))
    assert Path(first).is_absolute()
    assert Path(first).read_bytes() == Path(again).read_bytes()
    assert [path.name for path in Path(first).parent.iterdir()] == ["a.html"]
    shuffled = combine(reports[::-1])
    assert report.render(root, reports[::-1], shuffled, rank(reports[::-1], shuffled)) == Path(first).read_text()


def test_the_page_shows_everything(tmp_path):
    root = plant(tmp_path, SHOP)
    page = report.render(root, *audit(root))
    figures = json.loads(page.split('id="figures">')[1].split("</script>")[0])
    assert set(figures) == {"map", "scatter", "complexities", "lengths", "coverage", "imported", "rules"}
    assert all(f'id="{name}"' in page for name in figures)
    tiles = dict(zip(figures["map"]["data"][0]["ids"], figures["map"]["data"][0]["values"], strict=True))
    assert tiles["."] == sum(lines for name, lines in tiles.items() if name.endswith(".py"))
    assert "broken.py" in page.split("Not analysed")[1]
    assert "src=" not in page.split("<script>")[0]  # self-contained


def test_names_are_escaped(tmp_path):
    root = plant(tmp_path, {"<b>&.py": "def f(x): return x and 1\n", "<i>.py": "def f(:\n"})
    page = report.render(root, *audit(root)).split("<script>")[0]
    assert "<b>&" not in page
    assert "<i>." not in page
    assert "&lt;i&gt;.py" in page


@pytest.mark.parametrize("files", [{}, {"empty.py": ""}, {"bad.py": "def f(:\n"}])
def test_a_tree_with_little_in_it_still_has_a_page(tmp_path, files):
    root = plant(tmp_path, files)
    page = report.render(root, *audit(root))
    assert "code audit</title>" in page
    assert ("no Python file" in page) == ("empty.py" not in files)


def test_cycles_are_drawn_on_a_ring():
    names = [f"m{i}" for i in range(7)]
    graph = imports_only(**{name: [names[(i + 1) % 7]] for i, name in enumerate(names)})
    core, cycle = rings.draw_rings(graph)
    assert "7 most imported" in core.title
    assert (len(cycle.nodes), len(cycle.paths)) == (7, 7)
    assert all(0 <= node.x <= rings.SIZE and 0 <= node.y <= rings.SIZE for node in cycle.nodes)
    assert rings.draw_rings(imports_only(a=[], b=[])) == []
