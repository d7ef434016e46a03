# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the two Deployments a canary by pod ratio is about, by the Service they stand behind. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import InvalidInput, Refused
from ..objects.managed_state import ANNOTATION
from ..objects.metadata import full_name, identity
from ..objects.pods import PROXY
from ..objects.workloads import desired
from .pod_labels import template_labels

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


DEFAULT_CONTAINER: t.Final = "kubectl.kubernetes.io/default-container"
"""The annotation of a pod by which kubectl chooses a container."""


@dataclass(frozen=True)
class Wanted:
    """What a task asks for. Empty names are found; share: percent of new connections; replicas: pods of the canary.

    total: pods of everything behind the Service that the share is made of; stable is scaled up to its part.
    max_error: percentage points by which the share may be off; without a total it chooses one.
    promotes: whether stable takes the canary's image.
    """

    deployment: str = ""
    canary: str = ""
    container: str = ""
    image: str = ""
    share: float | None = None
    replicas: int | None = None
    max_error: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    promotes: bool = False
    total: int | None = None


@dataclass(frozen=True)
class Pair:
    """Stable and its canary, None while there is none. others: further Deployments behind the Service."""

    service: Object
    stable: Object
    canary: Object | None
    canary_name: str
    others: Sequence[Object]

    @property
    def other_pods(self) -> int:
        """Return how many pods share the Service's connections with the canary."""
        return desired(self.stable) + sum(desired(one) for one in self.others)

    def shares(self, canary: int) -> dict[str, float]:
        """Return Deployment -> percent of new connections when the canary has so many pods, and all are ready."""
        pods = {one["metadata"]["name"]: desired(one) for one in (self.stable, *self.others)}
        if canary:
            pods[self.canary_name] = canary
        total = sum(pods.values())
        return {name: round(100 * count / total, 2) for name, count in pods.items()} if total else {}


def find_pair(snapshot: Snapshot, service: ServiceRef, wanted: Wanted) -> Pair:
    """Return the Deployments concerned.

    Raises NotRead if Services or Deployments were not read, Refused without Service or selector, InvalidInput if stable
    is not there or not the only candidate.
    """
    front = next((one for one in snapshot.need("services") if identity(one) == (service.namespace, service.name)), None)
    if front is None or not (front["spec"].get("selector") or {}):
        what = "does not exist" if front is None else "has no selector, so its pods are not known"
        raise Refused(
            f"Service {service.namespace}/{service.name} {what}; a canary by pod ratio needs a Service that selects "
            "pods."
        )
    selector = front["spec"]["selector"].items()
    behind = {
        one["metadata"]["name"]: one
        for one in snapshot.need("deployments")
        if identity(one)[0] == service.namespace and selector <= template_labels(one).items()
    }
    stable = _stable(behind, service, wanted)
    name = wanted.canary or f"{stable['metadata']['name']}-canary"
    if name == stable["metadata"]["name"]:
        raise InvalidInput(f"canary: {name} is the name of the stable Deployment; use another name.")
    canary = behind.pop(name, None)
    if canary is None and any(identity(one) == (service.namespace, name) for one in snapshot.need("deployments")):
        raise Refused(
            f"Deployment {service.namespace}/{name} exists, but Service {service.name} does not select its pods. "
            "Set another name with the option canary."
        )
    others = [one for key, one in behind.items() if key != stable["metadata"]["name"]]
    return Pair(front, stable, canary, name, others)


def _stable(behind: Mapping[str, Object], service: ServiceRef, wanted: Wanted) -> Object:
    known = ", ".join(sorted(behind)) or "none"
    if wanted.deployment:
        if wanted.deployment not in behind:
            raise InvalidInput(
                f"deployment: {wanted.deployment} is not one of the Deployments behind Service "
                f"{service.namespace}/{service.name}: {known}."
            )
        return behind[wanted.deployment]
    candidates = [
        one
        for name, one in behind.items()
        if name != wanted.canary
        and name.removesuffix("-canary") not in set(behind) - {name}
        and ANNOTATION not in (one["metadata"].get("annotations") or {})
    ]
    if len(candidates) != 1:
        raise InvalidInput(
            f"deployment is required: Service {service.namespace}/{service.name} does not select exactly one "
            "candidate. "
            f"Deployments behind it: {known}."
        )
    return candidates[0]


def container_of(deployment: Object, name: str) -> Object:
    """Return the container that is named, that kubectl would choose, or the only one beside the proxy.

    Raises InvalidInput if there is no such container, or several could be meant.
    """
    template = deployment["spec"]["template"]
    containers: list[Object] = template["spec"]["containers"]
    annotated = str(((template.get("metadata") or {}).get("annotations") or {}).get(DEFAULT_CONTAINER) or "")
    for one in containers:
        if one["name"] == (name or annotated):
            return one
    known = ", ".join(one["name"] for one in containers)
    if name:
        raise InvalidInput(f"container: {full_name(deployment)} has no container {name}, only {known}.")
    own = [one for one in containers if one["name"] != PROXY]
    if len(own) == 1 and not annotated:
        return own[0]
    because = f"its annotation {DEFAULT_CONTAINER} names {annotated}, which is none of them" if annotated else ""
    raise InvalidInput(
        f"container is required: {full_name(deployment)} has the containers {known}{', and ' if because else ''}"
        f"{because}. Set container to the one that gets the image (-e container=NAME), "
        f"or annotate the pod template with {DEFAULT_CONTAINER}."
    )


def image_of(deployment: Object, container: str) -> str:
    """Return the container's image."""
    return str(container_of(deployment, container).get("image") or "")
