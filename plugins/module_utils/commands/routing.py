# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_routing: subsets for a service's versions and the first routes, all requests on the stable one."""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..kube.client import Cluster
from ..objects.intents import InstallRouting, UninstallRouting
from ..routing import plan
from ..task.argument_spec import CONNECTION, SERVICE, STATE, WAIT, WRITE, ArgSpec
from ..task.reading import service_of
from ..writing.apply import apply

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..objects.change import Plan
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

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


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Install the routing in place, or take away what was installed. Raises CanaryError."""
    versions = labels_of(params["versions"], params["version_label"])
    ingress = [{**one, "paths": [path_of(path) for path in one["paths"]]} for one in params["ingress"]]
    cluster, service = Cluster.connect(params, context.env), service_of(params)
    intent = (
        UninstallRouting(list(versions))
        if params["state"] == "absent"
        else InstallRouting(versions, params["stable"], ingress=ingress, port=params["port"])
    )

    def decide(snapshot: Snapshot) -> Plan:
        return plan.plan(snapshot, service, intent)

    result = apply(cluster, service, decide, params, check_mode=context.check_mode, log=context.log, reads=_READS)
    return {**result, "warnings": [*result["warnings"], *number_warnings(params["versions"])]}


def number_warnings(versions: t.Any) -> list[str]:
    """Return a warning for each label whose value YAML has read as a number: 1.10 is 1.1 then."""
    labels = [one for one in versions.values() if isinstance(one, dict)] if isinstance(versions, dict) else []
    return [
        f"versions: the label {key} is the number {value} in YAML, so 1.10 would mean 1.1. Write it in quotes."
        for one in labels
        for key, value in one.items()
        if isinstance(value, float)
    ]


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
        f"versions must be a list of names such as [v1, v2] or a mapping of names to pod labels such as "
        f"{{v1: {{version: v1}}}}, not {versions!r}."
    )


def path_of(text: str) -> dict[str, str]:
    """Return the condition on the path: `/static/*` is a prefix, anything else the whole path."""
    return {"prefix": text[:-1]} if text.endswith("*") else {"exact": text}
