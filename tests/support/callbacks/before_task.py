# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command once, just before a task: what somebody else does in the moment between two tasks of a role.

BEFORE_TASK: how the task's name begins. BEFORE_TASK_RUNS: the command, a JSON list.
"""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: before_task
type: notification
short_description: Runs a command once, just before a task
description: For tests.
"""


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "before_task"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Run the command, and raise if it fails."""
        begin = os.environ.get("BEFORE_TASK")
        if begin and task.name.startswith(begin):
            del os.environ["BEFORE_TASK"]
            subprocess.run(json.loads(os.environ["BEFORE_TASK_RUNS"]), check=True, capture_output=True, timeout=60)
