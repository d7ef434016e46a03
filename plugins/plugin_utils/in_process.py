# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of the action plugins: the module's work inside the controller's process.

Ansible loads an action plugin before it forks the worker, so the kubernetes library is imported once for a playbook
instead of once for a task. Where that is not the same as running the module (remote host, become, async, no library
here, or switched off) the module runs instead.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import typing as t

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.cluster_http import IMPORT_ERROR
from ..module_utils.commands import lease, stopping
from ..module_utils.commands.argspec import secrets
from ..module_utils.commands.entry import Command, execute
from . import rollout_interrupt, rollout_live

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SWITCH_VARIABLE: t.Final = "canary_in_process"
SWITCH_ENVIRONMENT: t.Final = "CANARY_IN_PROCESS"

display = Display()
stopping.asked = rollout_interrupt.asked_back
stopping.keyboard = rollout_interrupt.keyboard()


class InProcessAction(ActionBase):
    """Subclasses name their command, a file of `module_utils/commands`."""

    command: Command
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result, the same whichever way it was obtained."""
        task_vars = task_vars or {}
        _leave_the_parents_memory_alone()
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        env = self._environment()
        lease.played_host = str(task_vars.get("inventory_hostname") or "")
        if not self._may_run_here(task_vars, env):
            return {**result, **self._run_module(task_vars)}
        return {**result, **self._run_here(task_vars, env)}

    def _environment(self) -> dict[str, str]:
        """Return this process's environment with the task's `environment:` over it."""
        own: dict[str, t.Any] = {}
        self._compute_environment_string(own)
        return {**os.environ, **{str(name): str(value) for name, value in own.items()}}

    def _may_run_here(self, task_vars: dict[str, t.Any], env: dict[str, str]) -> bool:
        wanted = task_vars.get(SWITCH_VARIABLE, env.get(SWITCH_ENVIRONMENT, True))
        if not boolean(str(self._templar.template(wanted)), strict=False):
            return False
        local = self._connection.transport == "local"
        return local and not self._play_context.become and not self._task.async_val and IMPORT_ERROR is None

    def _run_module(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        args = {**self._task.args, **self._holder()}
        try:
            return dict(self._execute_module(module_args=args, task_vars=task_vars, wrap_async=wrap_async))
        finally:
            if not wrap_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)

    def _holder(self) -> dict[str, str]:
        """Return who holds a lock, for a module that cannot find it out: each task would be somebody else."""
        takes_it = "holder" in self.command.SPEC.options and not self._task.args.get("holder")
        known = self._connection.transport == "local" and lease.sees_processes()
        return {"holder": lease.whoever()[0]} if takes_it and not known else {}

    def _run_here(self, task_vars: dict[str, t.Any], env: dict[str, str]) -> dict[str, t.Any]:
        checked = ArgumentSpecValidator(self.command.SPEC.options, **self.command.SPEC.rules()).validate(
            _plain(self._task.args)
        )
        params = dict(checked.validated_parameters)
        hidden = checked._no_log_values | secrets(params, env)
        warnings: list[str] = []
        if checked.error_messages:
            out: dict[str, t.Any] = {"failed": True, "msg": self._refusal(checked)}
        else:
            with _process_environment(env), _log(self.command) as log:
                out, warnings = execute(self.command, params, check_mode=bool(self._task.check_mode), env=env, log=log)
        warnings = [*(one["warning"] for one in checked._warnings), *warnings]
        if warnings:
            out["warnings"] = warnings
        if _tells_invocation(task_vars):
            out["invocation"] = {"module_args": params}
        return dict(remove_values(out, hidden))

    def _refusal(self, checked: t.Any) -> str:
        """Return the sentence AnsibleModule would have said."""
        message = str(checked.errors.msg)
        if isinstance(checked.errors[0], UnsupportedError):
            return f"Unsupported parameters for ({self._task.action}) module: {message}"
        return message


def _tells_invocation(task_vars: dict[str, t.Any]) -> bool:
    """Return whether results have `invocation`: ansible-core 2.21 asks its configuration, which before did not know."""
    try:
        return bool(constants.config.get_config_value("INJECT_INVOCATION", variables=task_vars))
    except AnsibleError:
        return True


def _leave_the_parents_memory_alone() -> None:
    """Let a worker's garbage collector pass over what it has inherited from the playbook's process.

    A full collection would write to each inherited object and so copy all of the parent's memory, in the midst of a
    task and with every thread waiting. It takes longer than the task; see gc.freeze in Python's documentation.
    """
    if multiprocessing.parent_process() is not None:
        gc.freeze()


@contextlib.contextmanager
def _log(command: Command) -> Iterator[Callable[[str], None]]:
    """Yield what shows a sentence of a command at work: in the live line where there is one, else with -v.

    A command that waits for minutes (TELLS_AT_ONCE) is heard without either.
    """
    live = rollout_live.live
    if live is None and getattr(command, "TELLS_AT_ONCE", False):
        yield lambda sentence: display.display(rollout_live.stamped(sentence))
        return
    if live is None:
        yield t.cast("Callable[[str], None]", display.v)
        return
    try:
        yield live.draw
    finally:
        live.clear()


@contextlib.contextmanager
def _process_environment(env: dict[str, str]) -> Iterator[None]:
    """Let credential plugins and libraries see the task's environment; the worker process has one task at a time."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _plain(value: t.Any) -> t.Any:
    """Return task arguments as a module would get them over JSON: no tags, no lazy containers, vault decrypted."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)
