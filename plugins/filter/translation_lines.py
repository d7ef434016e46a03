# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of a translation: its lines for a terminal, and the commands that are left after a take-over."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.migration import take_over, translation_text

Result = Mapping[str, t.Any]
NEEDED: t.Final = ("source", "variables", "to_set", "no_counterpart", "notes", "ready")


def translation_lines(result: Result) -> list[str]:
    """Return the translation as lines."""
    return translation_text.lines(_checked(result, "translation_lines"))


def take_over_commands(result: Result) -> list[str]:
    """Return what is left to do for a person, in order."""
    return take_over.next_commands(_checked(result, "take_over_commands"))


def _checked(result: t.Any, name: str) -> Result:
    if not isinstance(result, Mapping) or any(key not in result for key in NEEDED):
        raise AnsibleFilterError(f"{name} requires what from_argo_rollout or from_flagger_canary has returned.")
    return result


class FilterModule:
    """Filters of translations."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"translation_lines": translation_lines, "take_over_commands": take_over_commands}
