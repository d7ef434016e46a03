# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The line about a result, and which results have one."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.result_line import (
    is_rollout,
    line,
    parts,
    remaining_lines,
)
from support.rollout_results import ANALYSIS, ROLLOUT, WEIGHT, rollout


@pytest.mark.parametrize(
    ("action", "result", "said"),
    [
        (
            "meshops.canary.canary_rollout",
            ROLLOUT,
            "reviews v1 -> v2 | step 2/4 | [##------------------] 10% | observing | v1 90%, v2 10% | 600 s left",
        ),
        (
            "canary_rollout",
            rollout(phase="rolling_back", desired_weights={"v1": 100.0, "v2": 0.0}, reason="errors:\n too many"),
            "reviews v1 -> v2 | step 2/4 | [--------------------] 0% | rolling back | v1 100%, v2 0% | 600 s left | "
            "errors: too many",
        ),
        (
            "canary_rollout",
            rollout(desired_weights={"v1": 100.0, "v2": 0.0}, desired_cohort={"name": "rollout"}),
            "reviews v1 -> v2 | step 2/4 | [--------------------] 0% and a cohort | observing | v1 100%, v2 0% | "
            "600 s left",
        ),
        (
            "canary_rollout",
            rollout(phase="promoted", desired_weights={"v1": 0.0, "v2": 100.0}, seconds_left=None),
            "reviews v1 -> v2 | step 2/4 | [####################] 100% | promoted | v1 0%, v2 100%",
        ),
        (
            "meshops.canary.canary_analysis",
            ANALYSIS,
            "reviews v2 | fail after 3 s | v2 11 of 21 failed (52.4%) | v1 0 of 187 failed (0%) | "
            "errors: 11 of 21 canary requests failed",
        ),
        (
            "canary_analysis",
            {**ANALYSIS, "failed": True, "verdict": "inconclusive", "numbers": {}, "reasons": []},
            "reviews v2 | inconclusive after 3 s | v2 0 of 0 failed | v1 0 of 0 failed",
        ),
        (
            "canary_analysis",
            {**ANALYSIS, "verdict": "inconclusive", "answer": "approved", "numbers": {}, "reasons": []},
            "reviews v2 | approved after 3 s | v2 0 of 0 failed | v1 0 of 0 failed",
        ),
        (
            "canary_analysis",
            {**ANALYSIS, "answer": "approved", "numbers": {}, "reasons": []},
            "reviews v2 | fail after 3 s | v2 0 of 0 failed | v1 0 of 0 failed",
        ),
        (
            "meshops.canary.canary_weight",
            WEIGHT,
            "reviews | v1 90%, v2 10% | 6 of 6 proxies converged after 0.3 s",
        ),
        ("canary_weight", {**WEIGHT, "changed": False, "convergence": {}}, "reviews | v1 90%, v2 10% | unchanged"),
        (
            "canary_weight",
            {"failed": True, "msg": "Two objects claim it"},
            "canary_weight failed | Two objects claim it",
        ),
    ],
)
def test_what_is_said(action: str, result: dict[str, t.Any], said: str) -> None:
    assert line(action, result) == said


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("canary_rollout", {"run": None, "steps": []}),
        ("canary_rollout", {**ROLLOUT, "state": "present"}),
        ("canary_analysis", {"ansible_job_id": "1"}),
        ("canary_weight", {"ansible_job_id": "1"}),
        ("ansible.builtin.debug", {"msg": "v1 90%"}),
        ("other.collection.canary_weight", WEIGHT),
    ],
)
def test_what_is_passed_over(action: str, result: dict[str, t.Any]) -> None:
    assert line(action, result) == ""


@pytest.mark.parametrize(("share", "filled"), [(0, 0), (0.1, 1), (50, 10), (99.9, 19), (100, 20)])
def test_a_share_that_is_not_nothing_shows_and_only_all_is_full(share: float, filled: int) -> None:
    assert f"[{'#' * filled}{'-' * (20 - filled)}]" in line("canary_rollout", rollout(desired_weights={"v2": share}))


def test_a_long_reason_ends() -> None:
    assert line("canary_rollout", rollout(reason="very " * 99)).endswith("very ve...")


def test_a_line_is_a_subject_and_a_message() -> None:
    subject, message = parts("canary_rollout", ROLLOUT)
    assert subject == "reviews v1 -> v2 | step 2/4 | [##------------------] 10%"
    assert line("canary_rollout", ROLLOUT) == f"{subject} | {message}"


@pytest.mark.parametrize(
    ("action", "known"),
    [
        ("canary_rollout", True),
        ("meshops.canary.canary_analysis", True),
        ("other.collection.canary_weight", False),
        ("ansible.builtin.debug", False),
        ("canary_info", False),
    ],
)
def test_the_modules_with_lines(action: str, known: bool) -> None:
    assert is_rollout(action) is known


@pytest.mark.parametrize(
    ("action", "result", "remaining"),
    [
        ("canary_rollout", {**ROLLOUT, "lines": ["one", "two"], "lines_shown": True}, []),
        ("canary_rollout", {**ROLLOUT, "lines": ["one", "two"]}, ["one", "two"]),  # a module on another host
        ("canary_rollout", {"failed": True, "msg": "no", "lines": [], "lines_shown": True}, []),
        ("canary_rollout", {"failed": True, "msg": "no", "lines": []}, ["canary_rollout failed | no"]),
        ("canary_weight", {"failed": True, "msg": "no"}, ["canary_weight failed | no"]),
        ("canary_rollout", {"run": None, "steps": [], "lines": []}, []),
        ("ansible.builtin.debug", {"lines": ["one"]}, []),
    ],
)
def test_only_lines_that_were_not_shown_remain(action: str, result: dict[str, t.Any], remaining: list[str]) -> None:
    assert remaining_lines(action, result) == remaining
