# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live line: what is said about each result, and what is passed over."""

from __future__ import annotations

import re
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.callback.canary_line import CallbackModule
from ansible_collections.meshops.canary.plugins.module_utils.commands import replicas, weight
from ansible_collections.meshops.canary.plugins.plugin_utils import in_process, rollout_live
from ansible_collections.meshops.canary.plugins.plugin_utils.rollout_line import line
from support.told import ANALYSIS, ROLLOUT, WEIGHT, rollout


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
            rollout(phase="rolling_back", weights_wanted={"v1": 100.0, "v2": 0.0}, reason="errors:\n too many"),
            "reviews v1 -> v2 | step 2/4 | [--------------------] 0% | rolling back | v1 100%, v2 0% | 600 s left | "
            "errors: too many",
        ),
        (
            "canary_rollout",
            rollout(weights_wanted={"v1": 100.0, "v2": 0.0}, cohort_wanted={"name": "rollout"}),
            "reviews v1 -> v2 | step 2/4 | [--------------------] 0% and a cohort | observing | v1 100%, v2 0% | "
            "600 s left",
        ),
        (
            "canary_rollout",
            rollout(phase="promoted", weights_wanted={"v1": 0.0, "v2": 100.0}, seconds_left=None),
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
            "reviews | v1 90%, v2 10% | 6 of 6 proxies hold them after 0.3 s",
        ),
        ("canary_weight", {**WEIGHT, "changed": False, "convergence": {}}, "reviews | v1 90%, v2 10% | as it was"),
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
    assert f"[{'#' * filled}{'-' * (20 - filled)}]" in line("canary_rollout", rollout(weights_wanted={"v2": share}))


def test_a_long_reason_ends() -> None:
    assert line("canary_rollout", rollout(reason="very " * 99)).endswith("very ve...")


@pytest.fixture(autouse=True)
def no_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_live, "live", None)


def test_the_callback_prints_each_result_with_its_time() -> None:
    printed: list[str] = []
    callback = CallbackModule(display=SimpleNamespace(display=printed.append, verbosity=0))  # type: ignore[arg-type]
    results = [("meshops.canary.canary_weight", {**WEIGHT, "msg": "no"}), ("ansible.builtin.debug", {})]
    told = [SimpleNamespace(_task=SimpleNamespace(action=action), _result=result) for action, result in results]
    for one in told:
        callback.v2_runner_on_ok(one)
        callback.v2_runner_on_failed(one)
        callback.v2_runner_item_on_ok(one)
        callback.v2_runner_item_on_failed(one)
    assert len(printed) == 4
    for index in (0, 2):
        assert re.fullmatch(r"\d\d:\d\d:\d\d reviews \| v1 90%, v2 10% \| .*", printed[index])
        assert re.fullmatch(r"\d\d:\d\d:\d\d canary_weight failed \| no", printed[index + 1])
    assert CallbackModule.CALLBACK_NEEDS_ENABLED


def test_the_line_knows_which_step_the_counts_are_of() -> None:
    callback = CallbackModule(display=SimpleNamespace(display=lambda *_text, **_how: None, verbosity=0))  # type: ignore[arg-type]
    task = SimpleNamespace(action="canary_rollout")
    callback.v2_runner_on_ok(SimpleNamespace(_task=task, _result=ROLLOUT))
    assert rollout_live.live is not None
    assert rollout_live.live.head == "reviews v1 -> v2 | step 2/4 | [##------------------] 10%"


def test_what_a_command_says_at_work_is_shown_where_a_line_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(in_process.display, "display", printed.append)
    monkeypatch.setattr(in_process.display, "verbosity", 0)
    with in_process._log(weight) as log:
        log("counted")
    assert printed == [], "without one, only with -v"
    with in_process._log(replicas) as log:
        log("5 of 6 pods")
    assert [text.partition(" ")[2] for text in printed] == ["5 of 6 pods"], "what waits for minutes is heard anyway"
    printed.clear()
    monkeypatch.setattr(rollout_live, "live", rollout_live.on(in_process.display))
    with in_process._log(weight) as log:
        log("counted")
    assert [text.partition(" ")[2] for text in printed] == ["counted"]
