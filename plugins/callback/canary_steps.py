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
short_description: One live line a step of a rollout, and little else
description:
  - Takes the place of Ansible's own output. Each step of a rollout is one line with the share as a bar, requests and
    failed ones of both versions, the verdict and the time left. On a terminal it is drawn over itself while the step is
    watched, cut to the width, and stays when the step ends. Without a terminal each thing that happens is a plain line.
  - Beside these lines it shows messages (M(ansible.builtin.debug)), differences with C(--diff), failures, and the
    recap. Tasks that went well are not named; with C(-v) all is shown as P(ansible.builtin.default#callback) does.
  - Counting shows while it goes on where tasks run inside the controller, which they do by default.
  - On a terminal a Ctrl-C while a rollout is under way asks what to do. Take the canary back, leave it where it is and
    end the playbook, or go on. Else Ansible ends the playbook at once.
requirements:
  - Choose it with C(stdout_callback = meshops.canary.canary_steps) in C(ansible.cfg), or with
    E(ANSIBLE_STDOUT_CALLBACK=meshops.canary.canary_steps).
seealso:
  - plugin: meshops.canary.canary_line
    plugin_type: callback
    description: The same lines beside any other output, such as that of AWX.
extends_documentation_fragment:
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
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_interrupt, rollout_line, rollout_live

MESSAGES: t.Final = frozenset({"debug", "ansible.builtin.debug", "ansible.legacy.debug"})
PROMPTS: t.Final = frozenset({"pause", "ansible.builtin.pause", "ansible.legacy.pause"})
GOING_ON: t.Final = frozenset({"preparing", "shifting", "observing", "gated"})


class CallbackModule(Default):
    """Ansible's own output without what went well, and a line for each step."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "meshops.canary.canary_steps"

    def __init__(self) -> None:
        super().__init__()
        # Workers are forked from here, and know it: see in_process.
        self._live = rollout_live.live = rollout_live.on(self._display)
        self._asker = rollout_interrupt.Asker()
        self._step: tuple[t.Any, ...] = ()

    @property
    def _whole(self) -> bool:
        """Whether everything is to be shown."""
        return bool(self._display.verbosity)

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        """Show tasks that went well only if everything is to be shown."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if not self._whole:
            self.set_option("display_ok_hosts", False)
            self.set_option("display_skipped_hosts", False)

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Look how wide the terminal is before a worker draws on it; leave the line to who asks a question there."""
        self._live.look()
        if str(task.action) in PROMPTS:
            self._live.finish()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Tell what a task says of a rollout, and messages; those of a loop were told item by item."""
        if not self._is_told(result, message=not result._task.loop):
            super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """Tell the same of one item of a loop."""
        if not self._is_told(result, message=True):
            super().v2_runner_item_on_ok(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Show a failure below the line."""
        self._live.finish()
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """Show the failure of one item below the line."""
        self._live.finish()
        super().v2_runner_item_on_failed(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Show it below the line."""
        self._live.finish()
        super().v2_runner_on_unreachable(result)

    def v2_runner_retry(self, result: t.Any) -> None:
        """Say in the line which task is waited for; without a terminal waiting is no news."""
        if self._whole:
            super().v2_runner_retry(result)
        elif self._live.columns:
            self._live.draw(f"{result._task.get_name().rpartition(' : ')[2]}: try {result._result.get('attempts')}")

    def v2_on_file_diff(self, result: t.Any) -> None:
        """Show a difference below the line."""
        if result._result.get("diff"):
            self._live.finish()
        super().v2_on_file_diff(result)

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Files of tasks are no news."""
        if self._whole:
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """End the last line before the recap."""
        self._live.finish()
        super().v2_playbook_on_stats(stats)

    def _is_told(self, result: t.Any, *, message: bool) -> bool:
        """Tell in our own way what went well; return whether nothing is left for Ansible's. message: debug is heard."""
        action = str(result._task.action)
        if self._about_a_rollout(action, result._result):
            return True
        if message and action in MESSAGES and not self._whole:
            self._message(result._result)
        return not self._whole

    def _about_a_rollout(self, action: str, result: dict[str, t.Any]) -> bool:
        """Draw what a task of a rollout says; return whether it was one."""
        about, said = rollout_line.parts(action, result)
        if not about:
            return False
        run = result.get("run")
        self._asker.heard(result)
        if run:
            step = (run["id"], run["at"]) if run["phase"] in GOING_ON else (run["id"], run["phase"])
            if step == self._step and run["over"]:
                return True  # it is closed, and its end was told when it was recorded
            if step != self._step:
                self._live.finish()
            self._step, self._live.head = step, about
        elif not self._live.head:
            said = f"{about} | {said}"
        self._live.draw(said if self._live.columns else rollout_line.line(action, result))
        if run and run["over"]:
            self._live.finish()
            self._live.head = ""
        return True

    def _message(self, result: dict[str, t.Any]) -> None:
        """Show what debug was asked to say, a list line by line."""
        self._live.finish()
        told = result.get("msg", {key: value for key, value in result.items() if not key.startswith("_")})
        for one in told if isinstance(told, list) else [told]:
            self._display.display(one if isinstance(one, str) else str(self._dump_results({"msg": one})))
