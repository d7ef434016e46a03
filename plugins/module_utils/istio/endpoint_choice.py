# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who chooses the endpoint of a request: the proxy, or the caller by the address it has resolved. Pure.

A proxy that passes requests on to the address of the caller (Envoy: ORIGINAL_DST) holds the routes, and neither weights
nor subsets have an effect there (pilot/pkg/networking/core/cluster.go, convertResolution; cluster_traffic_policy.go).
"""

from __future__ import annotations

import typing as t

from ..objects.endpoints import service_object
from ..objects.metadata import full_name, identity
from .find import destination_rules

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

PASSTHROUGH: t.Final = "PASSTHROUGH"


class ChosenByCaller(t.NamedTuple):
    """Why a proxy does not choose the endpoint. object: to change; remedy: how. gateways: whether they pass on too."""

    object: str
    reason: str
    remedy: str
    gateways: bool


def chosen_by_caller(snapshot: Snapshot, service: ServiceRef, versions: Iterable[str]) -> Iterator[ChosenByCaller]:
    """Yield why proxies do not choose among the endpoints of the service's versions (subsets; '' for all pods)."""
    own = service_object(snapshot, service)
    if own is not None and (own.get("spec") or {}).get("clusterIP") == "None":
        yield ChosenByCaller(
            full_name(own),
            "It is headless (clusterIP: None), so a sidecar sends each request to the pod whose address the caller "
            "has resolved.",
            "Create a second Service without clusterIP: None for the same pods, let the callers use that one, and "
            "route it. Or start istiod with PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES=true, then force this code.",
            gateways=False,
        )
    for entry in snapshot.service_entries or ():
        spec = entry.get("spec") or {}
        if spec.get("resolution", "NONE") == "NONE" and service.fqdn in map(str, spec.get("hosts") or ()):
            namespace, name = identity(entry)
            yield ChosenByCaller(
                full_name(entry),
                "Its resolution is NONE, so a sidecar sends each request to the address that the caller has resolved.",
                f"Set resolution: STATIC and list the endpoints: kubectl -n {namespace} edit serviceentry {name}.",
                gateways=False,
            )
    if snapshot.destination_rules is not None:
        yield from _passed_through(destination_rules(snapshot, service), frozenset(versions))


def _passed_through(rules: Iterable[Object], versions: frozenset[str]) -> Iterator[ChosenByCaller]:
    policy: Mapping[str, t.Any] = {}
    for rule in rules:
        spec = rule.get("spec") or {}
        policy = policy or spec.get("trafficPolicy") or {}  # of several rules for one host the first policy counts
        found = [
            str(subset.get("name"))
            for subset in spec.get("subsets") or ()
            if str(subset.get("name")) in versions and _passes(policy, subset.get("trafficPolicy") or {})
        ]
        if "" in versions and _passes(policy, {}):
            found.append("all pods")
        if found:
            namespace, name = identity(rule)
            yield ChosenByCaller(
                full_name(rule),
                f"Its load balancer for {', '.join(found)} is PASSTHROUGH, so proxies send each request to the address "
                "that the caller has resolved.",
                f"Set loadBalancer: {{simple: LEAST_REQUEST}}: kubectl -n {namespace} edit destinationrule {name}.",
                gateways=True,
            )


def _passes(policy: Mapping[str, t.Any], own: Mapping[str, t.Any]) -> bool:
    """Return whether a subset's policy over the rule's is PASSTHROUGH on a port; what a subset sets replaces."""
    merged = {**policy, **own}
    ports = [port.get("loadBalancer") for port in merged.get("portLevelSettings") or ()]
    return any((one or {}).get("simple") == PASSTHROUGH for one in (merged.get("loadBalancer"), *ports))


def consistent_hash(snapshot: Snapshot, service: ServiceRef) -> Object | None:
    """Return the DestinationRule whose consistentHash keeps callers at a pod, None if there is none."""
    for rule in destination_rules(snapshot, service):
        spec = rule.get("spec") or {}
        policies = [spec.get("trafficPolicy"), *(one.get("trafficPolicy") for one in spec.get("subsets") or ())]
        if any(((one or {}).get("loadBalancer") or {}).get("consistentHash") for one in policies):
            return rule
    return None
