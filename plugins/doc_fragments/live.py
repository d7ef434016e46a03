# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # How the callbacks show what changes while a task runs
    DOCUMENTATION = r"""
options:
  live:
    description:
      - Whether the line is redrawn in place. V(auto) does that on a terminal, but not on the pseudo-terminal of a job
        runner (ansible-runner, AWX, GitLab, GitHub, Jenkins, TeamCity, Azure Pipelines), which keeps a log.
      - With V(never) each line is plain text, at least one a minute.
    type: str
    choices: [auto, always, never]
    default: auto
    env:
      - name: CANARY_LIVE
    ini:
      - section: callback_canary
        key: live
"""
