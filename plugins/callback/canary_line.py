# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: canary_line
type: notification
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
short_description: Shows each event of a rollout as a line
description:
  - Prints one line for each event of M(meshops.canary.canary_rollout) when it happens, and for each result of
    M(meshops.canary.canary_analysis) and M(meshops.canary.canary_weight), with the time, the share as a bar, the phase,
    the weights, the verdict, requests and failed ones, and the seconds left. The lines are added to any other output of
    Ansible.
  - During an analysis it prints the counts every ten seconds, and at each new failed request. That requires the task to
    run inside the controller, which is the default; a module on another host has no output until its end.
  - On a terminal the counts are redrawn in one line, shortened to the width, until the verdict replaces them. Without a
    terminal each line is plain text, suitable for a log.
  - On a terminal a Ctrl-C during a rollout prompts for an action. Roll the canary back, leave the rollout as it is and
    end the playbook, or continue. Without a terminal Ansible ends the playbook immediately.
requirements:
  - Enable it with C(callbacks_enabled = meshops.canary.canary_line) in C(ansible.cfg), or with
    E(ANSIBLE_CALLBACKS_ENABLED=meshops.canary.canary_line).
notes:
  - To show little more than one line for each step, use P(meshops.canary.canary_steps#callback) instead, as Ansible's
    output.
extends_documentation_fragment: meshops.canary.live
"""

EXAMPLES = r"""
example: |
  $ export ANSIBLE_CALLBACKS_ENABLED=meshops.canary.canary_line
  $ ansible-playbook meshops.canary.rollout -e service=reviews -e ns=bookinfo -e stable=v1 -e canary=v2
  12:00:04 reviews v1 -> v2 | step 1/4 | [##------------------] 10% | observing | v1 90%, v2 10% | 600 s left
  12:00:14 v2: 2 of 98 failed (2.04%) | v1: 0 of 902 failed (0%) | 10 s of 60 s
"""

import typing as t

from ansible.plugins.callback import CallbackBase
from ansible_collections.meshops.canary.plugins.module_utils.rollout import result_line
from ansible_collections.meshops.canary.plugins.plugin_utils import interrupt_prompt, live_line


class CallbackModule(CallbackBase):
    """Prints the lines of `result_line.line`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "meshops.canary.canary_line"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **options: t.Any) -> None:
        super().__init__(*args, **options)
        # Workers are forked from this process and inherit the line: see in_process.
        self._line = live_line.current = live_line.for_display(self._display)
        self._prompt = interrupt_prompt.InterruptPrompt()

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        """Read whether the line is redrawn in place."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._line.live = str(self.get_option("live"))

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Measure the terminal before a worker draws on it, and be ready for a Ctrl-C."""
        del task, is_conditional
        self._line.measure()
        self._prompt.install()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Show a result."""
        self._show(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Show a failure."""
        del ignore_errors
        self._show(result, failed=True)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """Show the result of one item of a loop."""
        self._show(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """Show the failure of one item of a loop."""
        self._show(result, failed=True)

    def _show(self, task_result: t.Any, *, failed: bool = False) -> None:
        # Ansible removes `failed` from the result, because the event says it.
        action, result = str(task_result._task.action), {**task_result._result, "failed": failed}
        for text in result_line.remaining_lines(action, result):
            self._display.display(live_line.with_time(text))
