# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The summary of a whole run: tests and seconds of each tier, the slowest tests, the tests that passed on retry."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .steps import Outcome

SLOWEST = 30  # tests that are listed
MAX_RETRIES = 2  # tests that may pass on retry; more are a defect of the tests or of the product
Summary = dict[str, t.Any]


def summarize(
    outcomes: Mapping[str, Sequence[Outcome]], seconds: float, seed: str, not_run: Sequence[str] = ()
) -> Summary:
    """Return the summary of a run as plain data.

    outcomes: tier -> its steps. seconds: wall clock of the run; those of a tier are the sum of its steps, which may run
    in parallel. not_run: a sentence for each step that this machine cannot run.
    """
    tiers = [_tier(name, steps) for name, steps in outcomes.items()]
    retried = [test for tier in tiers for test in tier["passed_on_retry"]]
    problems = []
    if len(retried) > MAX_RETRIES:
        problems.append(f"{len(retried)} tests passed only on retry, at most {MAX_RETRIES} may: {', '.join(retried)}.")
    return {
        "tiers": tiers,
        "passed": sum(tier["passed"] for tier in tiers),
        "failed": sum(tier["failed"] for tier in tiers) + len(problems),
        "passed_on_retry": retried,
        "problems": problems,
        "slowest": _slowest(outcomes),
        "not_run": list(not_run),
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def _tier(name: str, steps: Sequence[Outcome]) -> Summary:
    return {
        "name": name,
        "ok": all(step.ok for step in steps),
        "passed": sum(step.passed for step in steps),
        "failed": sum(step.failed for step in steps),
        "passed_on_retry": [test for step in steps for test in step.passed_on_retry],
        "seconds": round(sum(step.seconds for step in steps), 1),
        "steps": [step.as_dict() for step in steps],
    }


def _slowest(outcomes: Mapping[str, Iterable[Outcome]]) -> list[Summary]:
    tests = [
        {"seconds": round(test.seconds, 1), "step": step.name, "test": test.name}
        for steps in outcomes.values()
        for step in steps
        for test in step.tests
    ]
    return sorted(tests, key=lambda test: -test["seconds"])[:SLOWEST]


def succeeded(summary: Summary) -> bool:
    """Return whether tests ran and none failed."""
    return summary["failed"] == 0 and summary["passed"] > 0


def text(summary: Summary, name: str) -> str:
    """Return the summary as text. name: the mode of the run. The last line counts the passed and the failed tests."""
    lines = ["", f"{'seconds':>8}  the slowest tests"]
    lines += [f"{one['seconds']:>8}  {one['step']}  {one['test']}" for one in summary["slowest"]]
    lines += ["", f"{'tier':<12}{'passed':>8}{'failed':>8}{'seconds':>10}"]
    for tier in summary["tiers"]:
        failed = [step["name"] for step in tier["steps"] if not step["ok"]]
        note = f"   FAILED: {', '.join(failed)}" if failed else ""
        note += f"   ({len(tier['passed_on_retry'])} passed only on retry)" if tier["passed_on_retry"] else ""
        lines.append(f"{tier['name']:<12}{tier['passed']:>8}{tier['failed']:>8}{tier['seconds']:>10}{note}")
    total = f"{'all':<12}{summary['passed']:>8}{summary['failed']:>8}{summary['seconds']:>10}"
    lines += [f"{total}   (wall clock; details: out/{name}.json)", "", *summary["not_run"], *summary["problems"]]
    if not succeeded(summary):
        lines.append(f"Random seed: {summary['seed']}. To repeat: CANARY_SEED={summary['seed']} make {name}")
    return "\n".join([*lines, f"{summary['passed']} passed, {summary['failed']} failed"])
