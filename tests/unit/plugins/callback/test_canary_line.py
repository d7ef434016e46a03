# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback canary_line: it prints the results that were not shown while their tasks worked."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.callback.canary_line import CallbackModule
from ansible_collections.meshops.canary.plugins.module_utils.commands import replicas, weight
from ansible_collections.meshops.canary.plugins.plugin_utils import in_process, live_line
from support.rollout_results import ROLLOUT, WEIGHT


@pytest.fixture(autouse=True)
def no_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_line, "current", None)


def test_the_callback_prints_each_result_with_its_time() -> None:
    printed: list[str] = []
    callback = CallbackModule(display=SimpleNamespace(display=printed.append, verbosity=0))  # type: ignore[arg-type]
    results = [("meshops.canary.canary_weight", {**WEIGHT, "msg": "no"}), ("ansible.builtin.debug", {})]
    described = [SimpleNamespace(_task=SimpleNamespace(action=action), _result=result) for action, result in results]
    for one in described:
        callback.v2_runner_on_ok(one)
        callback.v2_runner_on_failed(one)
        callback.v2_runner_item_on_ok(one)
        callback.v2_runner_item_on_failed(one)
    assert len(printed) == 4
    for index in (0, 2):
        assert re.fullmatch(r"\d\d:\d\d:\d\d reviews \| v1 90%, v2 10% \| .*", printed[index])
        assert re.fullmatch(r"\d\d:\d\d:\d\d canary_weight failed \| no", printed[index + 1])
    assert CallbackModule.CALLBACK_NEEDS_ENABLED


def test_lines_that_a_task_has_shown_are_not_printed_again() -> None:
    printed: list[str] = []
    callback = CallbackModule(display=SimpleNamespace(display=printed.append, verbosity=0))  # type: ignore[arg-type]
    task = SimpleNamespace(action="meshops.canary.canary_rollout")
    shown = {**ROLLOUT, "lines": ["reviews | v1 90%", "pass"]}
    callback.v2_runner_on_ok(SimpleNamespace(_task=task, _result={**shown, "lines_shown": True}))
    assert printed == []
    callback.v2_runner_on_ok(SimpleNamespace(_task=task, _result=shown))
    assert [text.partition(" ")[2] for text in printed] == ["reviews | v1 90%", "pass"], "of a module on another host"


def test_workers_inherit_its_line_with_an_event_a_line() -> None:
    CallbackModule(display=SimpleNamespace(display=lambda *_text, **_how: None, verbosity=0))  # type: ignore[arg-type]
    assert live_line.current is not None
    assert not live_line.current.one_per_step


def test_what_a_command_says_at_work_is_shown_where_a_line_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(in_process.display, "display", printed.append)
    monkeypatch.setattr(in_process.display, "verbosity", 0)
    with in_process._log(weight, "") as log:
        log("counted")
    assert printed == [], "without one, only with -v"
    with in_process._log(replicas, "") as log:
        log("5 of 6 pods")
    assert [text.partition(" ")[2] for text in printed] == ["5 of 6 pods"], "what waits for minutes is heard anyway"
    printed.clear()
    monkeypatch.setattr(live_line, "current", live_line.for_display(in_process.display))
    with in_process._log(weight, "") as log:
        log("counted")
    assert [text.partition(" ")[2] for text in printed] == ["counted"]
