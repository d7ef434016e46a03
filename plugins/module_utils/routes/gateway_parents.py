# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an HTTPRoute is attached to: Services, for the mesh, and Gateways. Pure."""

from __future__ import annotations

import typing as t

from .snapshot import identity

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .hosts import ServiceRef
    from .snapshot import Object


def parents(http_route: Object) -> set[str]:
    """Return `name.namespace` of the Services the route is attached to."""
    own, _name = identity(http_route)
    refs = (http_route.get("spec") or {}).get("parentRefs") or ()
    return {
        f"{ref.get('name')}.{ref.get('namespace') or own}"
        for ref in refs
        if ref.get("kind") == "Service" and not ref.get("group")
    }


def gateways(http_route: Object) -> list[str]:
    """Return `namespace/name` of the Gateways the route is attached to."""
    own, _name = identity(http_route)
    refs = (http_route.get("spec") or {}).get("parentRefs") or ()
    return [
        f"{ref.get('namespace') or own}/{ref.get('name')}" for ref in refs if ref.get("kind", "Gateway") == "Gateway"
    ]


def short(fqdn: str) -> str:
    """Return `name.namespace`."""
    return ".".join(fqdn.split(".")[:2])


def backends_of(http_routes: Iterable[Object], service: ServiceRef) -> frozenset[str]:
    """Return the Services that the HTTPRoutes attached to the service send to: its versions, in other routes too."""
    return frozenset(
        str(ref.get("name"))
        for one in http_routes
        if short(service.fqdn) in parents(one)
        for rule in one["spec"].get("rules") or ()
        for ref in rule.get("backendRefs") or ()
        if (ref.get("namespace") or identity(one)[0]) == service.namespace
    )
