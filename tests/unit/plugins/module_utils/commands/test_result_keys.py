# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No module returns a key that Ansible takes for its own, such as `started`, by which async waits for a job."""

from __future__ import annotations

import ast
import typing as t

import pytest
import yaml
from support.collection import ROOT

MODULES = sorted((ROOT / "plugins" / "modules").glob("canary_*.py"))
COMMANDS = sorted((ROOT / "plugins" / "module_utils").rglob("*.py"))
OF_ASYNC = {"started", "finished", "ansible_job_id", "results_file", "ansible_async_watchdog_pid", "stdout", "stderr"}
OF_TASKS = {
    *("failed", "skipped", "skip_reason", "unreachable", "rc", "results", "attempts", "retries", "item", "exception"),
    *("failed_when_result", "failed_when_suppressed_exception", "censored", "deprecations", "delta", "parsed", "jid"),
    *("ansible_facts", "ansible_stats", "ansible_notify", "add_host", "add_group", "include", "include_file"),
    *("ansible_loop_var", "ansible_index_var", "ansible_loop", "false_condition", "contacted", "dark"),
}
OF_DICTIONARIES = {"items", "keys", "values", "get", "pop", "update", "copy", "clear", "setdefault"}
"""In a template `result.items` is the method."""
RESERVED = OF_ASYNC | OF_TASKS | OF_DICTIONARIES


def returned(path: t.Any) -> dict[str, t.Any]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN":
            found: dict[str, t.Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise AssertionError(f"{path.name} has no RETURN")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_result_has_a_key_of_ansible(path: t.Any) -> None:
    keys = set(returned(path))
    assert keys
    assert not keys & RESERVED
    assert not [key for key in keys if key.startswith(("ansible_", "_ansible"))]


def test_no_result_is_made_with_a_key_of_async() -> None:
    """Documented or not: a literal key of a result that async_status would take for its own."""
    found = []
    for path in COMMANDS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                # "changed" or "msg" beside it: this is a task's result
                found += [f"{path.name}:{node.lineno} {key}" for key in keys & OF_ASYNC if keys & {"changed", "msg"}]
    assert not found
