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
short_description: Shows a rollout live, a line for each thing that happens
description:
  - Prints one line for each result of M(meshops.canary.canary_rollout), M(meshops.canary.canary_analysis) and
    M(meshops.canary.canary_weight), with the time, the share as a bar, the phase, the weights, the verdict, requests
    and failed ones, and the seconds left. It stands beside whatever else Ansible prints.
  - While an analysis watches, it says every ten seconds, and at each new failed request, what was counted so far. That
    needs the task to run inside the controller, which it does by default; as a module on another host it is silent
    until its end.
  - On a terminal what is counted is drawn over itself in one line, cut to the width, until the verdict takes its place.
    Without one every line is plain text of its own, which suits a log.
  - On a terminal a Ctrl-C while a rollout is under way asks what to do. Take the canary back, leave it where it is and
    end the playbook, or go on. Else Ansible ends the playbook at once.
requirements:
  - Enable it with C(callbacks_enabled = meshops.canary.canary_line) in C(ansible.cfg), or with
    E(ANSIBLE_CALLBACKS_ENABLED=meshops.canary.canary_line).
notes:
  - For one line a step and little else, take P(meshops.canary.canary_steps#callback) as Ansible's output instead.
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
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_interrupt, rollout_line, rollout_live


class CallbackModule(CallbackBase):
    """Prints what `rollout_line.line` says."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "meshops.canary.canary_line"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **options: t.Any) -> None:
        super().__init__(*args, **options)
        # Workers are forked from here, and know it: see in_process.
        self._live = rollout_live.live = rollout_live.on(self._display)
        self._asker = rollout_interrupt.Asker()

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Look how wide the terminal is before a worker draws on it."""
        del task, is_conditional
        self._live.look()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Tell a result."""
        self._tell(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Tell a failure."""
        del ignore_errors
        self._tell(result, failed=True)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """Tell the result of one item of a loop."""
        self._tell(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """Tell the failure of one item of a loop."""
        self._tell(result, failed=True)

    def _tell(self, result: t.Any, *, failed: bool = False) -> None:
        # Ansible takes the mark of a failure off the result, for the event says it.
        action, told = str(result._task.action), {**result._result, "failed": failed}
        said = rollout_line.line(action, told)
        if said:
            self._display.display(rollout_live.stamped(said))
        if told.get("run"):
            self._live.head = rollout_line.parts(action, told)[0]
            self._asker.heard(told)
