# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: versions that are Services of their own: do they have the ports, and pods of their own? Pure."""

from __future__ import annotations

import itertools
import typing as t

from ..findings import Finding
from ..istio.version_destinations import live_destinations_of, problem_of
from ..objects import endpoints, pods, service_entries
from ..objects.metadata import full_name, identity
from ..objects.weights import natural_key

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from .request_shares import Shares


def inspect(
    snapshot: Snapshot, service: ServiceRef, more: Shares, description: Mapping[str, t.Any] | None
) -> Iterator[Finding]:
    """Yield what is wrong with the Services of versions.

    more: split -> version -> percent to be judged. description: the routes as they will be.
    """
    if description is None or snapshot.services is None or not description["services"]:
        return
    judged = {version for versions in more.values() for version, percent in versions.items() if percent}
    yield from _ports(snapshot, service, judged & set(description["services"]), description)
    yield from _shared_pods(snapshot, service, judged, description)


def _ports(
    snapshot: Snapshot, service: ServiceRef, judged: set[str], description: Mapping[str, t.Any]
) -> Iterator[Finding]:
    """Yield destinations of VirtualServices with ports that the version's Service does not have."""
    for one in snapshot.select(description["objects"], "VirtualService"):
        for name, destination in live_destinations_of(one, service, frozenset(description["services"])):
            known = _is_known(snapshot, service.sibling(name)) and (
                not service.is_outside or snapshot.service_entries is not None
            )
            reason = problem_of(snapshot, service, name, destination) if name in judged and known else ""
            if reason:
                yield Finding("VERSION_PORT_UNKNOWN", full_name(one), reason)


def _is_known(snapshot: Snapshot, version: ServiceRef) -> bool:
    """Return whether the version's Service, or the ServiceEntry of its host, was read."""
    if version.is_outside:
        return bool(service_entries.entries_of(snapshot, version))
    return endpoints.service_object(snapshot, version) is not None


def _shared_pods(
    snapshot: Snapshot, service: ServiceRef, judged: set[str], description: Mapping[str, t.Any]
) -> Iterator[Finding]:
    """Yield pairs of versions that get requests of one split and select the same pods."""
    splits = [one["weights"] for one in (*description["routes"], *description["cohorts"].values())]
    services = set(description["services"])
    pairs = {
        pair
        for weights in splits
        for pair in itertools.combinations(sorted((one for one in weights if weights[one]), key=natural_key), 2)
        if services.issuperset(pair) and judged & set(pair)
    }
    for first, second in sorted(pairs):
        shared = _pods_of(snapshot, service, first) & _pods_of(snapshot, service, second)
        if shared:
            reason = (
                f"Its selector and that of Service {second} both select {min(shared)}"
                f"{f' and {len(shared) - 1} other pods' if len(shared) > 1 else ''}, so requests for one version are "
                "answered by the other."
            )
            yield Finding("PODS_OF_TWO_VERSIONS", f"Service {service.namespace}/{first}", reason)


def _pods_of(snapshot: Snapshot, service: ServiceRef, version: str) -> set[str]:
    return {identity(pod)[1] for pod in pods.of_service(snapshot, service.sibling(version), {}) or ()}
