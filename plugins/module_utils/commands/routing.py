# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_routing: subsets for a service's versions and the first routes, all requests on the stable one."""

from __future__ import annotations

import typing as t

from ..cluster import Cluster
from ..errors import InvalidInput
from ..routes import plan
from .apply import apply
from .argspec import CONNECTION, SERVICE, STATE, WAIT, WRITE, ArgSpec
from .reading import service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.change import Plan
    from ..routes.snapshot import Snapshot

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **{name: option for name, option in SERVICE.items() if name != "route_api"},
        **WRITE,
        **WAIT,
        **STATE,
        "versions": {"type": "raw"},
        "version_label": {"type": "str", "default": "version"},
        "stable": {"type": "str"},
        "port": {"type": "int"},
        "ingress": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "gateway": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "paths": {"type": "list", "elements": "str", "default": []},
            },
        },
    },
    required_if=[("state", "present", ["versions", "stable"])],
)


_READS: t.Final = ("virtual_services", "destination_rules", "services")


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Install the routing in place, or take away what was installed. Raises CanaryError."""
    versions = labels_of(params["versions"], params["version_label"])
    ingress = [{**one, "paths": [path_of(path) for path in one["paths"]]} for one in params["ingress"]]
    cluster, service = Cluster.connect(params, env), service_of(params)

    def decide(snapshot: Snapshot) -> Plan:
        if params["state"] == "absent":
            return plan.plan_routing_absent(snapshot, service, list(versions))
        return plan.plan_routing(snapshot, service, versions, params["stable"], ingress=ingress, port=params["port"])

    return apply(cluster, service, decide, params, check_mode=check_mode, log=log, reads=_READS)


def labels_of(versions: t.Any, label: str) -> dict[str, dict[str, str]]:
    """Return version -> pod labels. versions: names, each standing for `label: NAME`, or a mapping to labels."""
    if versions is None:
        return {}
    if isinstance(versions, list) and all(isinstance(name, str) and name for name in versions):
        return {name: {label: name} for name in versions}
    if isinstance(versions, dict) and all(isinstance(labels, (dict, type(None))) for labels in versions.values()):
        return {
            str(name): {str(key): str(value) for key, value in (labels or {label: name}).items()}
            for name, labels in versions.items()
        }
    raise InvalidInput(
        f"versions must be a list of names, such as [v1, v2], or a mapping of names to pod labels, such as "
        f"{{v1: {{version: v1}}}}, not {versions!r}."
    )


def path_of(text: str) -> dict[str, str]:
    """Return the condition on the path: `/static/*` is a prefix, anything else the whole path."""
    return {"prefix": text[:-1]} if text.endswith("*") else {"exact": text}
