# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the work is done inside the controller, and that a task's environment ends with it.

That the results are those of the module is proved in tests/api/test_parity.py.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.action import canary_release, canary_rollout, canary_weight
from ansible_collections.meshops.canary.plugins.module_utils.runs import lock
from ansible_collections.meshops.canary.plugins.plugin_utils import in_process


class _Templar:
    def template(self, value: t.Any) -> t.Any:
        return value


def action(
    command: t.Any = canary_weight,
    *,
    transport: str = "local",
    become: bool = False,
    async_val: int = 0,
    args: dict[str, str] | None = None,
) -> in_process.InProcessAction:
    made: in_process.InProcessAction = command.ActionModule.__new__(command.ActionModule)
    made._connection = SimpleNamespace(transport=transport)
    made._play_context = SimpleNamespace(become=become)
    made._task = SimpleNamespace(async_val=async_val, args={"service": "reviews", **(args or {})})
    made._templar = _Templar()
    return made


@pytest.mark.parametrize(
    ("given", "variables", "env", "here"),
    [
        ({}, {}, {}, True),
        ({"transport": "ssh"}, {}, {}, False),
        ({"become": True}, {}, {}, False),
        ({"async_val": 10}, {}, {}, False),
        ({}, {"canary_in_process": False}, {}, False),
        ({}, {"canary_in_process": "no"}, {}, False),
        ({}, {}, {"CANARY_IN_PROCESS": "false"}, False),
        ({}, {}, {"CANARY_IN_PROCESS": "0"}, False),
        ({}, {}, {"CANARY_IN_PROCESS": "true"}, True),
        ({}, {"canary_in_process": True}, {"CANARY_IN_PROCESS": "false"}, True),
    ],
)
def test_where_the_work_is_done(
    given: dict[str, t.Any], variables: dict[str, t.Any], env: dict[str, str], here: bool
) -> None:
    assert action(**given)._can_run_in_process(variables, env) is here


@pytest.mark.parametrize("given", [None, [], [{"A": "1"}], {"A": "1"}, "{{ settings }}"])
def test_a_task_that_locks_is_told_its_run_beside_its_own_environment(
    monkeypatch: pytest.MonkeyPatch, given: t.Any
) -> None:
    monkeypatch.setattr(lock, "this_run", lambda host: f"ada@ops1/4711 for {host}|mark")
    locking, other = action(canary_rollout), action(canary_weight)
    for one in (locking, other):
        one._task.environment = given
        one._name_the_run("master2")
    own = given if isinstance(given, list) else [given] if given else []
    assert locking._task.environment == [*own, {lock.RUN: "ada@ops1/4711 for master2|mark"}]
    assert other._task.environment == given


def test_an_empty_option_of_a_rollout_counts_as_not_set() -> None:
    blank: t.Any = {"image": "", "steps": [], "keep": {}, "capacity": False, "pause": 0, "drain": 0.0}
    set_options = {"service": "reviews", "capacity": False, "pause": 0, "drain": 0.0}
    assert action(canary_rollout, args=blank)._arguments() == set_options
    assert action(canary_weight, args={"weights": ""})._arguments() == {"service": "reviews", "weights": ""}


def test_without_the_library_the_module_runs_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "IMPORT_ERROR", ImportError("kubernetes"))
    assert action()._can_run_in_process({}, {}) is False


def test_the_environment_of_a_task_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    seen = {}

    def fail() -> None:
        with in_process._process_environment({**os.environ, "KEPT": "task", "NEW": "task"}):
            seen.update(os.environ)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (seen["KEPT"], seen["NEW"]) == ("task", "task")
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ


class Tagged(str):
    """Stands for the subclasses in which Ansible hands arguments to actions."""


def test_arguments_are_plain_as_a_module_gets_them() -> None:
    plain = in_process._plain({Tagged("a"): (Tagged("x"), 1, 1.5, True, None), "b": {"c": {Tagged("d")}}})
    assert plain == {"a": ["x", 1, 1.5, True, None], "b": {"c": ["d"]}}
    assert [type(key) for key in plain] == [str, str]
    assert [type(item) for item in plain["a"]] == [str, int, float, bool, type(None)]


def _frozen_in(result: t.Any) -> None:
    in_process._freeze_inherited_objects()
    result.send(gc.get_freeze_count())


def test_a_worker_does_not_collect_what_it_has_inherited_and_nobody_else_is_touched() -> None:
    forks = multiprocessing.get_context("fork")
    heard, result = forks.Pipe(duplex=False)
    worker = forks.Process(target=_frozen_in, args=(result,))
    worker.start()
    worker.join(timeout=30)
    assert heard.recv() > 10_000
    in_process._freeze_inherited_objects()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("command", "variables", "named"),
    [
        (canary_rollout, {"ansible_play_hosts_all": ["one"], "canary_cluster": "berlin"}, ""),
        (canary_rollout, {"ansible_play_hosts_all": ["one", "two"], "canary_cluster": "berlin"}, "berlin"),
        (canary_rollout, {"ansible_play_hosts_all": ["one", "two"]}, "one"),
        (canary_release, {"ansible_play_hosts_all": ["one", "two"]}, ""),
    ],
)
def test_lines_of_several_hosts_name_the_cluster_once(command: t.Any, variables: dict[str, t.Any], named: str) -> None:
    assert action(command)._cluster_of_several({"inventory_hostname": "one", **variables}) == named
