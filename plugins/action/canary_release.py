# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_release inside the controller; the documentation is the module's."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.commands import release
from ansible_collections.meshops.canary.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    command = release

    def _arguments(self) -> dict[str, t.Any]:
        """Return the options without empty ones: the blank answer of a survey means the default."""
        return {name: value for name, value in super()._arguments().items() if value not in (None, "", [], {})}
