# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ReferenceGrants: whether a gateway may send to a Service of another namespace. Pure.

A gateway answers 500 for a backend in another namespace than the HTTPRoute's unless a ReferenceGrant there permits it.
Routes whose parent is a Service are not checked (pilot/pkg/config/kube/gateway/conversion.go, buildDestination).
"""

from __future__ import annotations

import typing as t

from ..objects.metadata import identity
from .http_route_adapter import live_refs
from .parents import parent_gateways

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..objects.metadata import Object

GROUP: t.Final = "gateway.networking.k8s.io"


def routes_of_namespace(http_route: Object, namespace: str) -> set[str]:
    """Return the Services of the namespace that get requests from the HTTPRoute, or copies of them."""
    own, _name = identity(http_route)
    return {
        str(ref.get("name"))
        for ref in live_refs(http_route)
        if (ref.get("kind") or "Service") == "Service" and (ref.get("namespace") or own) == namespace
    }


def needs_grants(http_route: Object, namespace: str) -> bool:
    """Return whether a gateway checks ReferenceGrants of the namespace for the HTTPRoute."""
    elsewhere = identity(http_route)[0] != namespace
    return elsewhere and bool(parent_gateways(http_route)) and bool(routes_of_namespace(http_route, namespace))


def not_permitted(http_route: Object, namespace: str, grants: Iterable[Object]) -> list[str]:
    """Return the Services of the namespace that the HTTPRoute sends to and that no grant permits."""
    if not needs_grants(http_route, namespace):
        return []
    own, _name = identity(http_route)
    permitted: set[str] = set()
    every = False
    for grant in grants:
        spec = grant.get("spec") or {}
        origins = ((one.get("group") or "", one.get("kind"), one.get("namespace")) for one in spec.get("from") or ())
        if identity(grant)[0] != namespace or (GROUP, http_route["kind"], own) not in origins:
            continue
        for target in spec.get("to") or ():
            if (target.get("group") or "", target.get("kind")) == ("", "Service"):
                every = every or not target.get("name")
                permitted.add(str(target.get("name") or ""))
    return [] if every else sorted(routes_of_namespace(http_route, namespace) - permitted)
