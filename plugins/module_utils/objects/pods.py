# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods as the mesh sees them: which are ready, which have a proxy, which a subset selects. Pure."""

from __future__ import annotations

import typing as t

from .endpoints import pod_names, selects_no_pods, service_object
from .metadata import identity

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .hosts import ServiceRef
    from .metadata import Object
    from .snapshot import Snapshot

PROXY: t.Final = "istio-proxy"
HASH: t.Final = "pod-template-hash"
ADDED_BY_ISTIOD: t.Final = frozenset(
    {
        *(f"topology.istio.io/{name}" for name in ("cluster", "network", "subzone")),
        *(f"topology.kubernetes.io/{name}" for name in ("region", "zone")),
        "kubernetes.io/hostname",
    }
)
"""Labels of endpoints that pods need not carry (pilot/pkg/serviceregistry/util/label, AugmentLabels)."""


def labels_of(obj: Object) -> dict[str, str]:
    """Return the object's labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the object's annotations."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether `labels` has all labels of the selector."""
    return all(labels.get(key) == value for key, value in wanted.items())


def is_ready(pod: Object) -> bool:
    """Return whether the pod gets requests: it is Ready and not being deleted."""
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def is_alive(pod: Object) -> bool:
    """Return whether the pod runs or will run, so that it may send requests."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not (pod.get("metadata") or {}).get("deletionTimestamp")


def owner_of(pod: Object) -> str:
    """Return the Deployment's name, else that of another owner, else that of the pod."""
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


def is_waypoint(pod: Object) -> bool:
    """Return whether istiod runs the pod for a waypoint's Gateway."""
    return labels_of(pod).get("gateway.istio.io/managed") == "istio.io-mesh-controller"


def selector_of(snapshot: Snapshot, service: ServiceRef) -> dict[str, str] | None:
    """Return the Service's selector, None if the Service was not read, does not exist or has none."""
    own = service_object(snapshot, service) or {}
    return (own.get("spec") or {}).get("selector") or None


def of_service(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> list[Object] | None:
    """Return the pods of the service that a subset with `labels` selects; None if pods were not read.

    A subset narrows what the Service selects, so both must match. Without the Service only the labels must; of a
    Service without selector the pods must be in its EndpointSlices, if these were read.
    """
    if snapshot.pods is None:
        return None
    if service.is_outside:
        return _of_outside(snapshot, service, labels)
    fits = narrowed(selector_of(snapshot, service), labels)
    there = select(snapshot.pods, service.namespace)
    members = pod_names(snapshot, service) if selects_no_pods(snapshot, service) else None
    if members is not None:
        return [pod for pod in there if identity(pod)[1] in members and (not labels or fits(labels_of(pod)))]
    return [pod for pod in there if fits(labels_of(pod))]


def _of_outside(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> list[Object]:
    """Return the pods that ServiceEntries of the host select; most have none."""
    found = []
    for one in snapshot.service_entries or ():
        spec = one.get("spec") or {}
        selector = (spec.get("workloadSelector") or {}).get("labels")
        if selector and service.fqdn in map(str, spec.get("hosts") or ()):
            fits = narrowed(selector, labels)
            found += [pod for pod in select(snapshot.pods or (), identity(one)[0]) if fits(labels_of(pod))]
    return found


def narrowed(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> Callable[[Mapping[str, str]], bool]:
    """Return the test whether a pod's labels have all of the Service's selector and all of a subset's labels.

    Both count, also where they contradict: then no pod fits. Without either nothing fits. A label that istiod adds to
    endpoints fits every pod that does not carry it: whether it is added with this value, only the proxies know.
    """
    both = [one for one in (selector, labels) if one]

    def fits(own: Mapping[str, str]) -> bool:
        unknown = ADDED_BY_ISTIOD - own.keys()
        known = {key: value for key, value in labels.items() if key not in unknown}
        return bool(both) and matches(own, selector or {}) and matches(own, known)

    return fits


def contradictions(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each label of a subset that contradicts the Service's selector."""
    selector = selector_of(snapshot, service) or {}
    return [
        f"{key}={labels[key]} contradicts the selector {key}={value} of Service {service.namespace}/{service.name}"
        for key, value in sorted(selector.items())
        if key in labels and labels[key] != value
    ]


def select(pods: Iterable[Object], namespace: str) -> list[Object]:
    """Return the pods of one namespace that have not ended."""
    return [pod for pod in pods if identity(pod)[0] == namespace and is_alive(pod)]


def count_ready(pods: Sequence[Object]) -> int:
    """Return how many pods are ready."""
    return sum(is_ready(pod) for pod in pods)
