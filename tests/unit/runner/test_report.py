# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The summary has the cost of each tier and the slowest tests, and limits how many tests may pass on retry."""

from __future__ import annotations

import pytest
from runner import report
from runner.results import Result
from runner.steps import Outcome


def outcome(name: str, *seconds: float, failed: int = 0, retried: tuple[str, ...] = ()) -> Outcome:
    """Return a step whose tests took so many seconds; the first `failed` of them failed."""
    tests = tuple(Result(f"test_{name}_{n}", n >= failed, one) for n, one in enumerate(seconds))
    return Outcome(name, tests, sum(seconds) + 1, retried)


def test_a_tier_has_the_tests_and_seconds_of_its_steps() -> None:
    summary = report.summarize({"api": [outcome("api", 2, 3), outcome("oldest", 4, failed=1)]}, 12.34, "7")
    (tier,) = summary["tiers"]
    assert (tier["name"], tier["ok"], tier["passed"], tier["failed"], tier["seconds"]) == ("api", False, 2, 1, 11.0)
    assert [step["seconds"] for step in tier["steps"]] == [6.0, 5.0]
    assert (summary["passed"], summary["failed"], summary["seconds"]) == (2, 1, 12.3)


def test_the_thirty_slowest_tests_of_all_tiers_are_listed() -> None:
    slow, fast = outcome("mesh", *range(100, 120)), outcome("unit", *range(20))
    summary = report.summarize({"unit": [fast], "mesh": [slow]}, 1, "7")
    assert len(summary["slowest"]) == 30
    assert summary["slowest"][0] == {"seconds": 119, "step": "mesh", "test": "test_mesh_19"}
    assert summary["slowest"][-1] == {"seconds": 10, "step": "unit", "test": "test_unit_10"}
    assert "     119  mesh  test_mesh_19\n" in report.text(summary, "test")


@pytest.mark.parametrize(("retried", "ok"), [(("a", "b"), True), (("a", "b", "c"), False)])
def test_more_than_two_tests_that_pass_only_on_retry_fail_the_run(retried: tuple[str, ...], ok: bool) -> None:
    outcomes = {"api": [outcome("api", 1, retried=retried[:1])], "mesh": [outcome("mesh", 1, retried=retried[1:])]}
    summary = report.summarize(outcomes, 1, "7")
    text = report.text(summary, "test")
    assert report.succeeded(summary) == ok
    assert ("3 tests passed only on retry, at most 2 may: a, b, c." in text) != ok
    assert "(1 passed only on retry)" in text
    assert text.endswith("2 passed, 0 failed" if ok else "2 passed, 1 failed")


def test_a_failed_run_prints_how_to_repeat_it() -> None:
    command = "CANARY_SEED=7 make soak"
    assert command in report.text(report.summarize({"mesh": [outcome("mesh", 1, failed=1)]}, 1, "7"), "soak")
    assert command not in report.text(report.summarize({"mesh": [outcome("mesh", 1)]}, 1, "7"), "soak")


def test_a_run_without_tests_has_not_succeeded() -> None:
    assert not report.succeeded(report.summarize({}, 1, "7"))


def test_steps_that_could_not_run_are_printed() -> None:
    summary = report.summarize({"api": [outcome("api", 1)]}, 1, "7", ["newest: not run."])
    assert "\nnewest: not run.\n" in report.text(summary, "test")
