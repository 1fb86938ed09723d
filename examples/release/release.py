"""Release a Python package, and take everything back if the last step fails.

    cd REPOSITORY
    clew run …/examples/release/release.py --input service=http://…

The version is raised, the changelog edited, a wheel built; that is committed, tagged, published to a package index
and announced. Each step says what it may do, and how it is undone. `release.yaml` is the same plan as a file.

`rehearse.py`, beside this file, makes a repository, an index and a service to try it on.
"""

from __future__ import annotations

import announcements
import release_tools

from clew import Plan, check, http, restore, shell
from clew.graphs.bodies import Description

INDEX = "../index"


def git(line: str) -> Description:
    """A command of git, which may change nothing but the folder of git, and connect to nothing.

    A git that was killed leaves its locks behind. Nobody else works on this repository: they are taken away.
    """
    return shell(
        f"find .git -name '*.lock' -delete && git {line}",
        env={"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        read=["."],
        write=[".git"],
        network=[],
        limits={"wall_s": 30, "cpu_s": 10},
    )


plan = Plan(
    "release",
    description="Release a Python package; if that fails, take everything back.",
    tools=[release_tools],
    permissions={"write": ["sundial", "CHANGELOG.md", "dist", ".git", "../index"]},
    limits={"cpu_s": 120, "memory_bytes": "2GB"},
    best_effort=True,
    rollback=True,
)
service = plan.input("service", str, description="Where releases are announced.")
part = plan.input("part", str, "minor", description="The part of the version that is raised.")

version = plan.step(
    "examine",
    part=part,
    index=INDEX,
    id="version",
    checks=[check(program="git"), check(file="CHANGELOG.md"), check(resource={"disk_bytes": "10MB"})],
)
bump = plan.step(
    "edit_file",
    path="sundial/__init__.py",
    old='__version__ = "{{ version.old }}"',
    new='__version__ = "{{ version.new }}"',
    id="bump",
    write=["sundial"],
    compensate=restore("sundial/__init__.py"),
)
changelog = plan.step(
    "edit_file",
    path="CHANGELOG.md",
    old="## Unreleased\n",
    new="## Unreleased\n\n## {{ version.new }}\n",
    id="changelog",
    write=["CHANGELOG.md"],
    compensate=restore("CHANGELOG.md"),
)
wheel = plan.step(
    "build_wheel",
    version="{{ version.new }}",
    id="wheel",
    depends_on=bump,
    limits={"wall_s": 60, "cpu_s": 30, "memory_bytes": "1GB", "disk_bytes": "100MB"},
    compensate=restore("dist"),
)
commit = plan.add(
    git("commit --quiet --all --message {{ 'Release ' ~ version.new }}"),
    id="commit",
    version=version,
    depends_on=[bump, changelog, wheel],
    compensate=git("reset --quiet {{ version.head }}"),
)
tag = plan.add(
    git("tag --annotate v{{ version.new }} --message {{ 'Release ' ~ version.new }}"),
    id="tag",
    version=version,
    depends_on=commit,
    compensate=git("update-ref -d refs/tags/v{{ version.new }}"),
)
published = plan.step(
    "publish",
    wheel=wheel,
    index=INDEX,
    depends_on=tag,
    compensate=plan.call("unpublish", wheel="{{ wheel }}", index=INDEX),
)
agreed = plan.ask(
    "confirm", "Announce sundial {{ version.new }}?", id="agree", depends_on=published, timeout=0.3, default=True
)
announced = plan.add(
    http("POST", "{{ service }}/announcements", json={"package": "sundial", "version": "{{ version }}"}),
    id="announce",
    service=service,
    version=version["new"],
    depends_on=agreed,
    timeout=10,
    probe=announcements.was_announced,
    compensate=http("DELETE", "{{ service }}/announcements/sundial/{{ version }}"),
)
plan.returns({"version": version["new"], "wheel": published, "announced": announced["body"]})
