# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of the action plugins: runs the command of a module inside the controller's process.

Ansible loads an action plugin before it forks the worker, so the kubernetes library is imported once for a playbook
instead of once for a task. The module runs instead where the results would differ: on a remote host, with become or
async, without the library on the controller, or if the switch is off.
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

from ..module_utils.kube.http import IMPORT_ERROR
from ..module_utils.runs import lock
from ..module_utils.task.argument_spec import secrets
from ..module_utils.task.context import Context, Terminal
from ..module_utils.task.entry import Command, execute
from . import interrupt_prompt, live_line
from .rollout_display import RolloutDisplay

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SWITCH_VARIABLE: t.Final = "canary_in_process"
SWITCH_ENVIRONMENT: t.Final = "CANARY_IN_PROCESS"

display = Display()
TERMINAL: t.Final = Terminal(
    interrupt_prompt.has_keyboard(), interrupt_prompt.rollback_requested, interrupt_prompt.announce
)


class InProcessAction(ActionBase):
    """Subclasses set `command`, a file of `module_utils/commands`."""

    command: Command
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result, the same as that of the module."""
        task_vars = task_vars or {}
        _freeze_inherited_objects()
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        self._name_the_run(str(task_vars.get("inventory_hostname") or ""))
        env = self._environment()
        if not self._can_run_in_process(task_vars, env):
            return {**result, **self._run_module(task_vars)}
        return {**result, **self._run_in_process(task_vars, env)}

    def _environment(self) -> dict[str, str]:
        """Return the environment of this process, overridden by the task's `environment:`."""
        task_env: dict[str, t.Any] = {}
        self._compute_environment_string(task_env)
        return {**os.environ, **{str(name): str(value) for name, value in task_env.items()}}

    def _can_run_in_process(self, task_vars: dict[str, t.Any], env: dict[str, str]) -> bool:
        switch = task_vars.get(SWITCH_VARIABLE, env.get(SWITCH_ENVIRONMENT, True))
        if not boolean(str(self._templar.template(switch)), strict=False):
            return False
        local = self._connection.transport == "local"
        return local and not self._play_context.become and not self._task.async_val and IMPORT_ERROR is None

    def _run_module(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        try:
            return dict(self._execute_module(module_args=self._arguments(), task_vars=task_vars, wrap_async=wrap_async))
        finally:
            if not wrap_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)

    def _arguments(self) -> dict[str, t.Any]:
        """Return the options of the task."""
        return dict(self._task.args)

    def _name_the_run(self, play_host: str) -> None:
        """Add the identity of the playbook's run to the task's environment: a module cannot know which playbook it is.

        The same way for both, so that a task inside the controller and a module are one holder of the lock.
        """
        if "holder" in self.command.SPEC.options:
            given = self._task.environment or []
            listed = given if isinstance(given, list) else [given]
            self._task.environment = [*listed, {lock.RUN: lock.this_run(play_host)}]

    def _run_in_process(self, task_vars: dict[str, t.Any], env: dict[str, str]) -> dict[str, t.Any]:
        validated = ArgumentSpecValidator(self.command.SPEC.options, **self.command.SPEC.rules()).validate(
            _plain(self._arguments())
        )
        params = dict(validated.validated_parameters)
        hidden = validated._no_log_values | secrets(params, env)
        warnings: list[str] = []
        if validated.error_messages:
            out: dict[str, t.Any] = {"failed": True, "msg": self._validation_error(validated)}
        else:
            cluster = self._cluster_of_several(task_vars)
            with _process_environment(env), _log(self.command, cluster) as log:
                shown = RolloutDisplay(live_line.current, display.display, cluster)
                context = Context(bool(self._task.check_mode), log, env, TERMINAL, shown.show)
                out, warnings = execute(self.command, params, context)
                shown.finish()
            if "lines" in out:
                out["lines_shown"] = True
        warnings = [*(one["warning"] for one in validated._warnings), *warnings]
        if warnings:
            out["warnings"] = warnings
        if _returns_invocation(task_vars):
            out["invocation"] = {"module_args": params}
        return dict(remove_values(out, hidden))

    def _cluster_of_several(self, task_vars: dict[str, t.Any]) -> str:
        """Return what lines call the cluster of this host; empty in a play of one host, and where the command says it.

        That is the variable canary_cluster, else the name of the host.
        """
        several = len(task_vars.get("ansible_play_hosts_all") or ()) > 1
        if not several or "cluster" in self.command.SPEC.options:
            return ""
        named = self._templar.template(task_vars.get("canary_cluster") or "")
        return str(named or task_vars.get("inventory_hostname") or "")

    def _validation_error(self, validated: t.Any) -> str:
        """Return the message that AnsibleModule would return."""
        message = str(validated.errors.msg)
        if isinstance(validated.errors[0], UnsupportedError):
            return f"Unsupported parameters for ({self._task.action}) module: {message}"
        return message


def _returns_invocation(task_vars: dict[str, t.Any]) -> bool:
    """Return whether results have `invocation`; the setting exists since ansible-core 2.21."""
    try:
        return bool(constants.config.get_config_value("INJECT_INVOCATION", variables=task_vars))
    except AnsibleError:
        return True


def _freeze_inherited_objects() -> None:
    """Exclude the objects inherited from the playbook's process from a worker's garbage collection.

    A full collection would write to each inherited object and so copy all memory of the parent during the task, while
    all threads wait. It takes longer than the task; see gc.freeze in Python's documentation.
    """
    if multiprocessing.parent_process() is not None:
        gc.freeze()


@contextlib.contextmanager
def _log(command: Command, cluster: str) -> Iterator[Callable[[str], None]]:
    """Yield the function that shows the progress of a command: in the live line if there is one, otherwise with -v.

    The progress of a command that waits for minutes (SHOWS_PROGRESS) is always shown. cluster: named first, if any.
    """
    line, prefix = live_line.current, f"{cluster} | " if cluster else ""
    if line is None and getattr(command, "SHOWS_PROGRESS", False):
        yield lambda text: display.display(live_line.with_time(prefix + text))
        return
    if line is None:
        yield lambda text: display.v(prefix + text)
        return
    try:
        yield line.draw if line.prefix.startswith(prefix) else lambda text: line.draw(prefix + text)
    finally:
        line.clear()


@contextlib.contextmanager
def _process_environment(env: dict[str, str]) -> Iterator[None]:
    """Set the task's environment for credential plugins and libraries; a worker process runs one task at a time."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _plain(value: t.Any) -> t.Any:
    """Return task arguments as a module would get them by JSON: without tags or lazy containers, vault decrypted."""
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
