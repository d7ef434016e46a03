# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter from_argo_rollout: a Rollout of Argo Rollouts as variables of the playbook rollout."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests


def from_argo_rollout(given: t.Any, objects: t.Any = (), stable: str = "", canary: str = "") -> dict[str, t.Any]:
    """Return the translation. Raises AnsibleFilterError that names the object and the field."""
    try:
        return manifests.argo(given, objects, stable, canary)
    except InvalidInput as error:
        raise AnsibleFilterError(f"from_argo_rollout: {error.msg}") from error


class FilterModule:
    """The filter of Rollouts."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"from_argo_rollout": from_argo_rollout}
