# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: canary_steps
type: stdout
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
short_description: Shows one live line for each step of a rollout
description:
  - Replaces Ansible's own output. Each step of a rollout is one line with the share as a bar, requests and failed ones
    of both versions, the verdict and the time left. On a terminal the line is redrawn during the step, shortened to the
    width, and stays when the step ends. Without a terminal each event is a plain line.
  - In addition it shows messages (M(ansible.builtin.debug)), differences with C(--diff), failures, and the recap.
    Successful tasks are hidden; with C(-v) it shows all output of P(ansible.builtin.default#callback).
  - Counts are shown during the analysis if tasks run inside the controller, which is the default.
  - On a terminal a Ctrl-C during a rollout prompts for an action. Roll the canary back, leave the rollout as it is and
    end the playbook, or continue. Without a terminal Ansible ends the playbook immediately.
requirements:
  - Select it with C(stdout_callback = meshops.canary.canary_steps) in C(ansible.cfg), or with
    E(ANSIBLE_STDOUT_CALLBACK=meshops.canary.canary_steps).
seealso:
  - plugin: meshops.canary.canary_line
    plugin_type: callback
    description: The same lines in addition to any other output, such as that of AWX.
extends_documentation_fragment:
  - meshops.canary.live
  - ansible.builtin.default_callback
  - ansible.builtin.result_format_callback
"""

EXAMPLES = r"""
example: |
  $ export ANSIBLE_STDOUT_CALLBACK=meshops.canary.canary_steps
  $ ansible-playbook meshops.canary.rollout -e service=reviews -e ns=bookinfo -e stable=v1 -e canary=v2
  12:01:04 reviews v1 -> v2 | step 1/4 | [##------------------] 10% | pass after 60 s | v2 0 of 598 failed (0%)
  12:01:14 reviews v1 -> v2 | step 2/4 | [#####---------------] 25% | v2: 0 of 248 failed (0%) | 10 s of 60 s
"""

import typing as t

from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.meshops.canary.plugins.module_utils.rollout import result_line
from ansible_collections.meshops.canary.plugins.plugin_utils import interrupt_prompt, live_line

MESSAGES: t.Final = frozenset({"debug", "ansible.builtin.debug", "ansible.legacy.debug"})
PROMPTS: t.Final = frozenset({"pause", "ansible.builtin.pause", "ansible.legacy.pause"})


class CallbackModule(Default):
    """Ansible's own output without successful tasks, and a line for each step."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "meshops.canary.canary_steps"

    def __init__(self) -> None:
        super().__init__()
        # Workers are forked from this process and inherit the line: see in_process.
        self._line = live_line.current = live_line.for_display(self._display, one_per_step=True)
        self._prompt = interrupt_prompt.InterruptPrompt()

    @property
    def _verbose(self) -> bool:
        """Whether all output of Ansible is shown."""
        return bool(self._display.verbosity)

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        """Hide successful and skipped tasks unless the output is verbose."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._line.live = str(self.get_option("live"))
        if not self._verbose:
            self.set_option("display_ok_hosts", False)
            self.set_option("display_skipped_hosts", False)

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Measure the terminal before a worker draws on it; finish the line before a prompt."""
        self._line.measure()
        self._prompt.install()
        if str(task.action) in PROMPTS:
            self._line.finish()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Show the results of rollout tasks, and messages; those of a loop were shown item by item."""
        if not self._show_ok(result, message=not result._task.loop):
            super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """Show the same for one item of a loop."""
        if not self._show_ok(result, message=True):
            super().v2_runner_item_on_ok(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Show a failure below the line."""
        self._line.finish()
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """Show the failure of one item below the line."""
        self._line.finish()
        super().v2_runner_item_on_failed(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Show an unreachable host below the line."""
        self._line.finish()
        super().v2_runner_on_unreachable(result)

    def v2_runner_retry(self, result: t.Any) -> None:
        """Show the retried task in the line; show nothing without a terminal."""
        if self._verbose:
            super().v2_runner_retry(result)
        elif self._line.columns:
            self._line.draw(f"{result._task.get_name().rpartition(' : ')[2]}: try {result._result.get('attempts')}")

    def v2_on_file_diff(self, result: t.Any) -> None:
        """Show a difference below the line."""
        if result._result.get("diff"):
            self._line.finish()
        super().v2_on_file_diff(result)

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Show included files only if the output is verbose."""
        if self._verbose:
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """End the last line before the recap."""
        self._line.finish()
        super().v2_playbook_on_stats(stats)

    def _show_ok(self, result: t.Any, *, message: bool) -> bool:
        """Show a successful task; return whether Ansible's output is not needed. message: show messages of debug."""
        action = str(result._task.action)
        if self._show_rollout(action, result._result):
            return True
        if message and action in MESSAGES and not self._verbose:
            self._show_message(result._result)
        return not self._verbose

    def _show_rollout(self, action: str, result: dict[str, t.Any]) -> bool:
        """Show the lines of a rollout task that are not shown yet; return whether it was one."""
        known = result_line.is_rollout(action)
        for text in result_line.remaining_lines(action, result) if known else ():
            self._line.finish()
            self._display.display(live_line.with_time(text))
        return known

    def _show_message(self, result: dict[str, t.Any]) -> None:
        """Show the message of debug, a list line by line."""
        self._line.finish()
        message = result.get("msg", {key: value for key, value in result.items() if not key.startswith("_")})
        for line in message if isinstance(message, list) else [message]:
            self._display.display(line if isinstance(line, str) else str(self._dump_results({"msg": line})))
