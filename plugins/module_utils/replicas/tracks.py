# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose pods share a Service's connections, and whom an answer names. Pure."""

from __future__ import annotations

import datetime
import re
import typing as t
from collections import Counter

from ..errors import InvalidInput
from ..objects import pods, workloads
from ..objects.managed_state import ANNOTATION
from ..objects.metadata import identity
from ..objects.weights import natural_key

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

_OF_DEPLOYMENT: t.Final = re.compile(r"(.+)-[a-z0-9]+-[a-z0-9]{5}")
"""The name of a pod: Deployment, ReplicaSet, pod."""
_NAMING: t.Final = ("version", "app.kubernetes.io/version", "track")


class Tracks:
    """The pods behind a Service by their owner, a Deployment as a rule. Raises InvalidInput if none can be told.

    ready: owner -> ready pods, each of which gets the same share of new connections (source: Kubernetes documentation,
    Virtual IPs and Service Proxies: a backend is chosen at random).
    """

    def __init__(self, snapshot: Snapshot, service: ServiceRef) -> None:
        self._pods = pods.of_service(snapshot, service, {}) or []
        front = next((one for one in snapshot.services or () if identity(one)[1] == service.name), {})
        self.sticky = (front.get("spec") or {}).get("sessionAffinity") == "ClientIP"
        self.ready = dict(sorted(_ready(self._pods).items()))
        if not self.ready:
            raise InvalidInput(
                f"Service {service.name} in {service.namespace} has no ready pods, or they cannot be listed, "
                "so there is no intended split to verify."
            )
        self._names = _names(self._pods)

    def owner_of_answer(self, answer: str) -> str:
        """Return the owner that an answer names by itself, by its pod, or by a label no other owner's pods have.

        What names nobody is returned as it is: it counts as somebody who should not have answered.
        """
        if answer in self._names:
            return self._names[answer]
        ended = _OF_DEPLOYMENT.fullmatch(answer)
        return ended[1] if ended and ended[1] in self._names.values() else answer

    def by_owner(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return the counts with answers put together that name the same owner."""
        result: Counter[str] = Counter()
        for answer, number in counts.items():
            result[self.owner_of_answer(answer)] += number
        return dict(result)

    def changed_at(self) -> datetime.datetime | None:
        """Return when one of the pods last became ready or ceased to be; None if none says so."""
        moments = [
            one["lastTransitionTime"]
            for pod in self._pods
            for one in (pod.get("status") or {}).get("conditions") or ()
            if one.get("type") == "Ready" and one.get("lastTransitionTime")
        ]
        return datetime.datetime.fromisoformat(max(moments).replace("Z", "+00:00")) if moments else None


def by_deployment(snapshot: Snapshot, service: ServiceRef) -> list[dict[str, t.Any]] | None:
    """Return an entry for each Deployment behind the Service, with its percent of new connections (None: of nobody).

    Pods of no Deployment stand under their owner, whose `desired` is None. None if one of the lists was not read.
    """
    found, behind = workloads.deployments_of(snapshot, service, {}), pods.of_service(snapshot, service, {})
    if found is None or behind is None:
        return None
    desired = {identity(one)[1]: workloads.desired(one) for one in found}
    ready = _ready(behind)
    everyone = sum(ready.values())
    return [
        {
            "deployment": name,
            "ready": ready[name],
            "desired": desired.get(name),
            "share": round(100 * ready[name] / everyone, 2) if everyone else None,
        }
        for name in sorted({*desired, *ready}, key=natural_key)
    ]


def has_canary(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether one of the Deployments behind the Service was made or adopted as a canary by pods."""
    return any(ANNOTATION in pods.annotations_of(one) for one in workloads.deployments_of(snapshot, service, {}) or ())


def _ready(found: Iterable[Object]) -> Counter[str]:
    """Return owner -> how many of its pods are ready."""
    return Counter(pods.owner_of(pod) for pod in found if pods.is_ready(pod))


def _names(found: Iterable[Object]) -> dict[str, str]:
    """Return what may name an owner: itself, its pods, and labels that no other owner's pods have."""
    direct: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    for pod in found:
        owner = pods.owner_of(pod)
        direct |= {owner: owner, identity(pod)[1]: owner}
        for value in (pods.labels_of(pod).get(name) for name in _NAMING):
            if value:
                owners.setdefault(value, set()).add(owner)
    return {**{value: min(whose) for value, whose in owners.items() if len(whose) == 1}, **direct}


def causes(before: Tracks, after: Mapping[str, int], counts: Mapping[str, int]) -> list[str]:
    """Return why connections may be spread otherwise than evenly over the pods, the most telling first."""
    found = []
    if after != before.ready:
        found.append(
            f"The number of ready pods changed during the check: {_text(before.ready)} before, {_text(after)} after."
        )
    if before.sticky:
        found.append("The Service has sessionAffinity ClientIP, so each caller stays on one pod.")
    strange = sorted(set(counts) - set(before.ready))
    if strange:
        found.append(
            f"{', '.join(strange)} is not one of the Deployments behind the Service ({', '.join(before.ready)}). Check "
            "what the pattern or the label finds."
        )
    found.append(
        "The share applies to new connections. Callers that keep connections open stay on their pods. To measure, send "
        "each request on a new connection (Connection: close)."
    )
    return found


def _text(ready: Mapping[str, int]) -> str:
    return ", ".join(f"{owner} {number}" for owner, number in ready.items()) or "none"
