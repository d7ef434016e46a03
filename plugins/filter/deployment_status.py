# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about Deployments: whether they are rolled out, and if not, which pods are not ready and why."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_status import (
    deployment_problems,
    deployment_status,
)


class FilterModule:
    """Filters of Deployments."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"deployment_status": deployment_status, "deployment_problems": deployment_problems}
