# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: pods that are not ready for requests, and pods whose requests the mesh does not see. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..istio import find, waypoints
from ..objects import endpoints, pods, service_entries, workloads
from ..objects.metadata import REVISION, full_name, identity
from ..replicas.deployment_status import own_problems
from ..replicas.pod_problems import pod_problems

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

_NAMED_AT_MOST: t.Final = 3
_LIMIT: t.Final = "Callers in other namespaces were not checked."


def inspect(
    snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, float], services: Collection[str]
) -> Iterator[Finding]:
    """Yield what is wrong with the service's pods and its callers' pods.

    versions: version -> percent to be judged. services: those that are Services; the others are subsets.
    """
    for version, percent in versions.items():
        if version in services:
            yield from _backend(snapshot, service.sibling(version), percent)
    if snapshot.destination_rules is not None and (versions.keys() - set(services) or not services):
        for version, labels in find.subsets(snapshot, service).items():
            yield from _subset(snapshot, service, version, labels, versions.get(version, 0))
    yield from _callers(snapshot, service)


def _subset(
    snapshot: Snapshot, service: ServiceRef, version: str, labels: Mapping[str, str], percent: float
) -> Iterator[Finding]:
    if service.is_outside:
        yield from _outside(snapshot, service, labels, percent, _rule_with(snapshot, service, version))
        return
    selected = pods.of_service(snapshot, service, labels)
    if selected is None or pods.count_ready(selected) or endpoints.is_dns_name(snapshot, service):
        return
    machines = service_entries.machines_of(
        snapshot, service.namespace, pods.selector_of(snapshot, service) or {}, labels
    )
    if machines is not None and machines.ready:
        return  # the version runs on machines outside the cluster
    if endpoints.selects_no_pods(snapshot, service) and snapshot.endpoint_slices is None:
        return  # which endpoints it has is not known here; the proxies are read
    rule = _rule_with(snapshot, service, version)
    wanted = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "(no labels)"
    against = "".join(f", because {one}" for one in pods.contradictions(snapshot, service, labels))
    if percent > 0:
        deployments = workloads.deployments_of(snapshot, service, labels) or ()
        none = f"no pod{against or _why_none(deployments)}"
        seen = f"{len(selected)} pods, none ready{_why(selected)}" if selected else none
        yield Finding(
            "SUBSET_NOT_READY",
            rule,
            f"Subset {version} ({wanted}) would get {percent:g}% of requests and has {seen}: they fail with 503.",
            f"Inspect the pods: kubectl -n {service.namespace} get pods -l {wanted}. Continue when one is ready.",
        )
    elif not selected:
        yield Finding(
            "SUBSET_SELECTS_NO_POD", rule, f"Subset {version} ({wanted}) selects no pod of {service.name}{against}."
        )


def _outside(
    snapshot: Snapshot, host: ServiceRef, labels: Mapping[str, str], percent: float, named: str
) -> Iterator[Finding]:
    """Yield what is wrong with the endpoints of a host that is no Service. named: the object of the finding."""
    known = service_entries.entries_of(snapshot, host)
    if known is None:
        yield Finding("NOT_CHECKED", "ServiceEntry", f"Not read, so this was not checked: endpoints of {host.fqdn}.")
        return
    if not known:
        if percent > 0:
            reason = f"It would get {percent:g}% of requests, but no ServiceEntry has the host {host.fqdn}."
            yield Finding("SUBSET_UNKNOWN", named, reason, "Create the ServiceEntry of the version's host first.")
        return
    wanted = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    found = service_entries.endpoints_of(snapshot, host, labels)
    if (
        found is None
        or found.ready
        or all((one.get("spec") or {}).get("resolution", "NONE") == "NONE" for one in known)
    ):
        return  # without resolution the caller's address counts, which ENDPOINT_CHOSEN_BY_CALLER says
    of_labels = f" with {wanted}" if wanted else ""
    seen = f"{found.all} endpoints{of_labels}, none healthy" if found.all else f"no endpoint{of_labels}"
    if percent > 0:
        namespace, name = identity(known[0])
        reason = f"It would get {percent:g}% of requests, and {full_name(known[0])} has {seen}: they fail with 503."
        remedy = (
            f"List endpoints{of_labels} in it, or check its WorkloadEntries: kubectl -n {namespace} get serviceentry "
            f"{name} -o yaml and kubectl -n {namespace} get workloadentries."
        )
        yield Finding("SUBSET_NOT_READY", named, reason, remedy)


def _backend(snapshot: Snapshot, backend: ServiceRef, percent: float) -> Iterator[Finding]:
    if backend.is_outside:
        yield from _outside(snapshot, backend, {}, percent, f"Host {backend.fqdn}")
        return
    if snapshot.services is None or snapshot.pods is None:
        return
    named = f"Service {backend.namespace}/{backend.name}"
    if identity_of(backend) not in map(identity, snapshot.services):
        reason = f"It would get {percent:g}% of requests, but there is no such Service: they fail with 500 or 503."
        yield Finding("SUBSET_UNKNOWN", named, reason, "Create the version's Service first.")
        return
    if endpoints.selects_no_pods(snapshot, backend):
        if not endpoints.is_dns_name(snapshot, backend) and endpoints.count_ready_endpoints(snapshot, backend) == 0:
            reason = f"It would get {percent:g}% of requests and has no ready endpoint: they fail with 503."
            remedy = f"Inspect them: kubectl -n {backend.namespace} get endpointslices -l {endpoints.SERVICE_NAME}="
            yield Finding("SUBSET_NOT_READY", named, reason, f"{remedy}{backend.name}.")
        return
    selected = pods.of_service(snapshot, backend, {}) or []
    if not pods.count_ready(selected):
        seen = f"{len(selected)} pods, none ready{_why(selected)}" if selected else "no pod"
        reason = f"It would get {percent:g}% of requests and has {seen}: they fail with 503."
        yield Finding("SUBSET_NOT_READY", named, reason)


def identity_of(service: ServiceRef) -> tuple[str, str]:
    """Return (namespace, name) as `identity` gives it for objects."""
    return service.namespace, service.name


def _rule_with(snapshot: Snapshot, service: ServiceRef, version: str) -> str:
    for rule in find.destination_rules(snapshot, service):
        if any(one.get("name") == version for one in (rule.get("spec") or {}).get("subsets") or ()):
            return full_name(rule)
    return f"DestinationRule of {service.fqdn}"


def _why(selected: Sequence[Object]) -> str:
    """Return what the first pod says, by its conditions and containers."""
    found = next((problems for pod in selected if (problems := pod_problems(pod))), [])
    return f" ({found[0]})" if found else ""


def _why_none(deployments: Sequence[Object]) -> str:
    """Return why a version has no pods, by its Deployments; empty if they do not say it."""
    empty = (f"{full_name(one)} has 0 replicas" for one in deployments if not workloads.desired(one))
    found = next((problems[0] for one in deployments if (problems := own_problems(one))), next(empty, ""))
    return f" ({found})" if found else ""


def _callers(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Requests of a pod without proxy follow no route: they reach all versions alike, by pod count.

    Pods are read in the service's namespace only, which each finding says: those of a whole cluster are too many.
    """
    selector = pods.selector_of(snapshot, service)
    has_waypoint = waypoints.trouble(snapshot, service) is None
    outside: dict[str, list[Object]] = {}
    ambient: dict[str, list[Object]] = {}
    for pod in snapshot.pods or ():
        own = identity(pod)[0] == service.namespace and selector and pods.matches(pods.labels_of(pod), selector)
        if not pods.is_alive(pod) or own or pods.has_proxy(pod):
            continue
        if not pods.is_ambient(pod):
            outside.setdefault(identity(pod)[0], []).append(pod)
        elif not has_waypoint and not waypoints.is_ambient(snapshot, service):  # else an error of its own says it
            ambient.setdefault(identity(pod)[0], []).append(pod)
    for namespace, taken in ambient.items():
        yield Finding(
            "PODS_OUTSIDE_MESH",
            f"Namespace {namespace}",
            f"{_named(taken)} {'is' if len(taken) == 1 else 'are'} in ambient mode, and no waypoint handles requests "
            f"to {service.name}. If they call it, they reach all versions by pod count. {_LIMIT}",
        )
    for namespace, plain in outside.items():
        injected = _is_injected(snapshot, namespace)
        forgotten = [pod for pod in plain if injected and not _opted_out(pod)]
        chosen = [pod for pod in plain if pod not in forgotten]
        if forgotten:
            yield Finding(
                "CALLER_WITHOUT_SIDECAR",
                f"Namespace {namespace}",
                f"{_named(forgotten)} should have a sidecar but have none, so their requests ignore all routes. "
                f"{_LIMIT}",
                f"Restart their owners, for example kubectl -n {namespace} rollout restart deployment NAME.",
            )
        if chosen:
            yield Finding(
                "PODS_OUTSIDE_MESH",
                f"Namespace {namespace}",
                f"{_named(chosen)} have no sidecar{_not_captured(snapshot, namespace)}. If they call {service.name}, "
                f"they reach all versions by pod count. {_LIMIT}",
            )


def _named(found: Sequence[Object]) -> str:
    names = [identity(pod)[1] for pod in found[:_NAMED_AT_MOST]]
    more = f" and {len(found) - len(names)} more" if len(found) > len(names) else ""
    return f"Pods {', '.join(names)}{more}" if len(found) > 1 else f"Pod {names[0]}"


def _not_captured(snapshot: Snapshot, name: str) -> str:
    """In a namespace in ambient mode a pod may have opted out, or ztunnel has not taken it yet."""
    return " and ztunnel does not take their requests" if waypoints.is_ambient_namespace(snapshot, name) else ""


def _is_injected(snapshot: Snapshot, name: str) -> bool:
    labels = pods.labels_of(waypoints.namespace_object(snapshot, name) or {})
    if labels.get("istio-injection"):
        return labels["istio-injection"] == "enabled"
    return bool(labels.get(REVISION))


def _opted_out(pod: Object) -> bool:
    key = "sidecar.istio.io/inject"
    said = pods.labels_of(pod).get(key) or pods.annotations_of(pod).get(key)
    return said == "false" or bool((pod.get("spec") or {}).get("hostNetwork"))
