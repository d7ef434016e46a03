# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that read a rollout of Deployments: is it done, and if not, which pod stands in its way and why."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.replicas.rollout import rollout_state, rollout_troubles


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rollout_state": rollout_state, "rollout_troubles": rollout_troubles}
