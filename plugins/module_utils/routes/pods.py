# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods as the mesh sees them: which are ready, which have a proxy, which a subset selects. Pure."""

from __future__ import annotations

import typing as t

from .snapshot import identity

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

PROXY: t.Final = "istio-proxy"
HASH: t.Final = "pod-template-hash"


def labels_of(obj: Object) -> dict[str, str]:
    """Return the object's labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the object's annotations."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether `labels` has all that is wanted."""
    return all(labels.get(key) == value for key, value in wanted.items())


def is_ready(pod: Object) -> bool:
    """Return whether the pod gets requests: its Ready condition is true and it is not going away."""
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def is_alive(pod: Object) -> bool:
    """Return whether the pod runs or will run, so that it may send requests."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not (pod.get("metadata") or {}).get("deletionTimestamp")


def owner_of(pod: Object) -> str:
    """Return the Deployment's name, for a pod without one that of its owner, for a pod on its own that of the pod."""
    owner = next((one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), None)
    if owner is None:
        return identity(pod)[1]
    name = str(owner["name"])
    return name.removesuffix(f"-{labels_of(pod).get(HASH, '')}") if owner.get("kind") == "ReplicaSet" else name


def containers(pod: Object) -> list[Object]:
    """Return the containers that live as long as the pod; native sidecars are init containers that restart."""
    spec = pod.get("spec") or {}
    native = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *native]


def has_proxy(pod: Object) -> bool:
    """Return whether the pod's traffic goes through an Envoy of its own: a sidecar or a gateway."""
    return any(one.get("name") == PROXY for one in containers(pod))


def is_ambient(pod: Object) -> bool:
    """Return whether ztunnel takes the pod's traffic."""
    return annotations_of(pod).get("ambient.istio.io/redirection") == "enabled"


def selector_of(snapshot: Snapshot, service: ServiceRef) -> dict[str, str] | None:
    """Return the Service's selector, None if the Service was not read, does not exist or has none."""
    for one in snapshot.services or ():
        if identity(one) == (service.namespace, service.name):
            return (one.get("spec") or {}).get("selector") or None
    return None


def of_service(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> list[Object] | None:
    """Return the pods of the service that a subset with `labels` selects; None if pods were not read.

    A subset narrows what the Service selects, so both must fit. Without the Service the labels stand alone.
    """
    if snapshot.pods is None:
        return None
    wanted = {**(selector_of(snapshot, service) or {}), **labels}
    return (
        [pod for pod in select(snapshot.pods, service.namespace) if matches(labels_of(pod), wanted)] if wanted else []
    )


def select(pods: Iterable[Object], namespace: str) -> list[Object]:
    """Return the pods of one namespace that have not ended."""
    return [pod for pod in pods if identity(pod)[0] == namespace and is_alive(pod)]


def ready(pods: Sequence[Object]) -> int:
    """Return how many are ready."""
    return sum(is_ready(pod) for pod in pods)
