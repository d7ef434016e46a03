# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_handback inside the controller; the documentation is the module's."""

from __future__ import annotations

from ansible_collections.meshops.canary.plugins.module_utils.commands import handback
from ansible_collections.meshops.canary.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    command = handback
