# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods belong to whom: Deployments beside each other must not select each other's pods. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..objects.metadata import full_name

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..objects.metadata import Object

TRACK: t.Final = "track"


def selects(selector: Mapping[str, t.Any], labels: Mapping[str, str]) -> bool:
    """Return whether a LabelSelector (matchLabels and matchExpressions) selects pods with `labels`."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _holds(expression: Mapping[str, t.Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    operator = expression["operator"]
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return bool((key in labels) == (operator == "Exists"))


def template_labels(deployment: Object) -> dict[str, str]:
    """Return the labels of the pods a Deployment makes."""
    return dict((deployment["spec"]["template"].get("metadata") or {}).get("labels") or {})


def refuse_mixing(stable: Object, canary: Object, service: Object, hpa: Object | None) -> str:
    """Raise Refused unless the canary's pods get the Service's traffic and are kept apart from stable's.

    canary: its Deployment, as it is or will be. hpa: the autoscaler of stable. Returns what to know beside it, or "".

    A Deployment owns the pods of its own ReplicaSets, which select by pod-template-hash and by owner, so it never takes
    pods that another Deployment's ReplicaSet owns (source: Kubernetes, pkg/controller/deployment and
    controller_ref_manager: only orphans are adopted). An autoscaler, though, counts every pod that stable's selector
    selects (source: pkg/controller/podautoscaler, GetResourceReplicas lists pods by the scale's selector).
    """
    labels, selector = template_labels(canary), stable["spec"]["selector"]
    wanted = service["spec"].get("selector") or {}
    missed = {key: value for key, value in wanted.items() if labels.get(key) != value}
    if missed:
        raise Refused(
            f"{full_name(service)} would not select the canary's pods: it selects {_text(missed)}, and the canary's "
            f"pods would have {_text({key: labels.get(key, '(none)') for key in missed})}. Remove these labels from "
            "the "
            "option labels."
        )
    free = sorted(set(selector.get("matchLabels") or {}) - set(wanted))
    own = canary["spec"]["selector"]
    if selects(own, template_labels(stable)) and not free:
        raise Refused(
            f"The selector of {full_name(canary)}, {_text(own.get('matchLabels') or {})}, also selects "
            f"the pods of {full_name(stable)}, so their pods cannot be distinguished. A selector cannot be changed: "
            "delete "
            f"{full_name(canary)} and run the task again with image, which creates it with {TRACK}: canary in its "
            "selector."
        )
    if not selects(selector, labels):
        return ""
    chosen = (
        f"The selector of {full_name(stable)}, {_text(selector.get('matchLabels') or {})}, also selects the "
        "canary's pods"
    )
    if not free and hpa is None:
        return (
            f"{chosen}. Its ReplicaSets do not, so each Deployment manages only its own pods. However, tools that "
            "list pods by "
            "that selector see both, and an autoscaler of the stable Deployment would count both. Never delete the "
            "canary with "
            "--cascade=orphan, because the stable Deployment would adopt its pods."
        )
    way_out = (
        f"Set a different value of a label that only {full_name(stable)} selects, "
        f"for example labels: {{{free[0]}: {selector['matchLabels'][free[0]]}-canary}}."
        if free
        else "The selector of a Deployment cannot be changed. Create a copy of the stable Deployment "
        f"under another name, with {TRACK}: stable in its selector and in its pod labels. When its pods are ready, "
        f"delete {full_name(stable)} and run the task again."
    )
    counts = (
        f"{full_name(hpa)} would count them as stable pods"
        if hpa
        else ("they could not be distinguished from the stable pods")
    )
    raise Refused(f"{chosen} ({_text(labels)}): {counts}. Nothing was written. {way_out}")


def _text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
