"""``clew doctor``: does everything that Clew needs work here, and what to do where it does not."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

from typing import Any

import click

from clew.cli import exits
from clew.cli.options import db_option, json_option, url_of


@click.command(name="doctor", short_help="Check that everything that Clew needs works here.")
@json_option
@db_option
def command(as_json: bool, db: str | None) -> int:
    """Check that everything that Clew needs works here: one line per check, and what to do where one fails."""
    from clew.cli.examining import examine

    findings = examine(url_of(db))
    worst = exits.FAILED if any(each.verdict == "fail" for each in findings) else exits.COMPLETED
    if as_json:
        from clew.cli.telling import print_json

        print_json({"ok": worst == exits.COMPLETED, "checks": [_document(each) for each in findings]})
        return worst
    from rich.text import Text

    from clew.cli.columns import console, in_columns

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    out = console()
    lines = in_columns([[Text(each.verdict, styles[each.verdict]), each.what, each.found] for each in findings])
    for line, finding in zip(lines, findings, strict=True):
        line.rstrip()
        out.print(line, soft_wrap=True)
        if finding.advice:
            out.print(Text(f"      {finding.advice}", "yellow"), soft_wrap=True)
    return worst


def _document(finding: Any) -> dict[str, str]:
    return {"check": finding.what, "verdict": finding.verdict, "found": finding.found, "advice": finding.advice}
