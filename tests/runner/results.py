# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of single tests, read from pytest's JUnit report and from Molecule's output."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from xml.etree import ElementTree

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A line of output and the seconds since the command started.
Line = tuple[float, str]
ACTION = re.compile(r"^[A-Z]+ +\[(\S+) > \w+\] (Executing|Executed)")
RECAP = re.compile(r"^(\S+) +: actions=.* failed=(\d+)")
FAILED = re.compile(r"^[A-Z]+ +Scenarios failed: (.+)$")


@dataclasses.dataclass(frozen=True)
class Result:
    """One test that passed or failed. seconds: with its setup and teardown."""

    name: str
    passed: bool
    seconds: float


def read_junit(report: Path) -> list[Result]:
    """Return the tests of a JUnit report, if there is one. Skipped tests are left out: they prove nothing."""
    if not report.exists():
        return []
    return [
        Result(
            f"{case.get('classname')}::{case.get('name')}",
            case.find("failure") is None and case.find("error") is None,
            float(case.get("time", 0)),
        )
        for case in ElementTree.parse(report).getroot().iter("testcase")
        if case.find("skipped") is None
    ]


def read_molecule(lines: Iterable[Line]) -> list[Result]:
    """Return Molecule's scenarios, each as one test that takes as long as its actions.

    Molecule prints `INFO [NAME > ACTION] Executing` and `Executed` around each action, and a recap at the end:
    `NAME : actions=5 successful=4 ... failed=0`. The scenario `default` has several lines in the recap.
    The recap counts playbooks that failed. A scenario that was not idempotent, or whose process ended, has `failed=0`
    there; the line `Scenarios failed: NAME, NAME` names all that failed.
    """
    passed: dict[str, bool] = {}
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}
    failed: set[str] = set()
    for at, line in lines:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if action := ACTION.match(plain):
            name, event = action.groups()
            if event == "Executing":
                started[name] = at
            else:
                seconds[name] = seconds.get(name, 0.0) + at - started.pop(name, at)
        elif recap := RECAP.match(plain):
            passed[recap[1]] = passed.get(recap[1], True) and recap[2] == "0"
        elif named := FAILED.match(plain):
            failed.update(named[1].split(", "))
    return [Result(name, ok and name not in failed, seconds.get(name, 0.0)) for name, ok in passed.items()]
