"""Small source trees for the tests of `examples/audit`, and the whole audit of one."""

import sys
import textwrap
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "audit"
sys.path.insert(0, str(EXAMPLE))

from code_audit.analysis import analyse  # noqa: E402
from code_audit.hot_spots import rank  # noqa: E402
from code_audit.import_graph import combine  # noqa: E402
from code_audit.model import FileReport  # noqa: E402
from code_audit.sources import discover  # noqa: E402

SHOP = {
    "shop/__init__.py": '"""A shop."""\nfrom shop.cart import Cart\n',
    "shop/cart.py": '''
        """Carts."""
        from . import prices
        from .stock import take

        class Cart:
            """What is to be bought."""

            def total(self, items: list, rebate=None):
                sum = 0
                for item in items:
                    if item and item.price > 0 or rebate:
                        sum += prices.of(item)
                return sum
        ''',
    "shop/prices.py": "from shop import stock\n\ndef of(item): return stock.take(item)\n",
    "shop/stock.py": "import os\n\ndef take(item):\n    from shop.cart import Cart\n    return Cart\n",
    "tests/test_shop.py": "import shop.cart\n\ndef test_total():\n    assert shop.cart.Cart().total([]) == 0\n",
    "broken.py": "def f(:\n",
}


def plant(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return str(root)


def audit(root):
    reports = [analyse(root, file) for file in discover(root)]
    graph = combine(reports)
    return reports, graph, rank(reports, graph)


def imports_only(**targets):
    return combine([FileReport(file=f"{name}.py", module=name, imports=to) for name, to in targets.items()])
