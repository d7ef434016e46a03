# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods belong to whom: Deployments beside each other must not select each other's pods. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..routes.snapshot import label

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..routes.snapshot import Object

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


def refuse_mixing(stable: Object, labels: Mapping[str, str], service: Object) -> None:
    """Raise Refused unless pods with `labels` get the Service's traffic and are not selected by stable's Deployment.

    Its autoscaler, its disruption budget and `kubectl` find a Deployment's pods by its selector: it would count the
    canary's as its own.
    """
    wanted = service["spec"].get("selector") or {}
    missed = {key: value for key, value in wanted.items() if labels.get(key) != value}
    if missed:
        raise Refused(
            f"{label(service)} would send the canary nothing: it selects {_text(missed)}, and the canary's pods would "
            f"have {_text({key: labels.get(key, '(none)') for key in missed})}. Leave these labels out of "
            "option labels."
        )
    selector = stable["spec"]["selector"]
    if not selects(selector, labels):
        return
    free = sorted(set(selector.get("matchLabels") or {}) - set(wanted))
    way_out = (
        f"Give the canary another value of a label that only {label(stable)} selects, "
        f"for example labels: {{{free[0]}: {selector['matchLabels'][free[0]]}-canary}}."
        if free
        else "A Deployment's selector cannot be changed, so make stable anew beside this one: the same Deployment "
        f"under another name, with {TRACK}: stable in its selector and in its pods' labels. When its pods are ready, "
        f"delete {label(stable)}, and call again."
    )
    raise Refused(
        f"The selector of {label(stable)}, {_text(selector.get('matchLabels') or {})}, also selects the canary's pods "
        f"({_text(labels)}): autoscalers and disruption budgets would count them as stable's. Nothing was "
        f"written. {way_out}"
    )


def _text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
