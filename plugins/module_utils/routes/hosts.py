# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts, visibility and gateways as Istio reads them. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .snapshot import age_order, identity

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .snapshot import Object

MESH: t.Final = "mesh"


@dataclass(frozen=True)
class ServiceRef:
    """The service by which everything is found. root: the mesh's root namespace, whose DestinationRules are for all."""

    name: str
    namespace: str
    domain: str = "cluster.local"
    root: str = "istio-system"

    @classmethod
    def of(cls, fqdn: str) -> ServiceRef:
        """Return the service that has this full name."""
        name, namespace, _svc, domain = fqdn.split(".", 3)
        return cls(name, namespace, domain)

    @property
    def fqdn(self) -> str:
        """Return `name.namespace.svc.domain`."""
        return f"{self.name}.{self.namespace}.svc.{self.domain}"

    def is_host(self, host: str, namespace: str) -> bool:
        """Return whether `host`, written in an object of `namespace`, means exactly this service."""
        return expand(host, namespace, self.domain) == self.fqdn

    def covered_by(self, host: str, namespace: str) -> bool:
        """Return whether `host` means this service, also by a wildcard (`*`, `*.prod.svc.cluster.local`)."""
        return covers(expand(host, namespace, self.domain), self.fqdn)


def expand(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """Return the host Istio takes `host` for.

    Only a name without a dot is completed: `reviews.prod` is taken as it stands and matches no service
    (pilot/pkg/model/config.go, ResolveShortnameToFQDN).
    """
    if not host or "." in host or host == "*":
        return host
    return f"{host}.{namespace}.svc.{domain}"


def covers(pattern: str, host: str) -> bool:
    """Return whether the expanded `pattern` is `host` or a wildcard over it."""
    if pattern == host or pattern == "*":
        return True
    return pattern.startswith("*") and host.endswith(pattern[1:])


def gateways_of(virtual_service: Object) -> list[str]:
    """Return the gateways as `namespace/name`, or `mesh`. None listed means the mesh alone."""
    namespace, dummy = identity(virtual_service)
    named = (virtual_service.get("spec") or {}).get("gateways") or [MESH]
    return [name if name == MESH or "/" in name else f"{namespace}/{name}" for name in named]


def is_for_mesh(virtual_service: Object) -> bool:
    """Return whether sidecars obey it."""
    return MESH in gateways_of(virtual_service)


def exports(obj: Object) -> frozenset[str]:
    """Return the namespaces the object is exported to: names, or `*`; empty when to nobody (`~`)."""
    own, dummy = identity(obj)
    listed = (obj.get("spec") or {}).get("exportTo") or ["*"]
    if "*" in listed:
        return frozenset({"*"})
    return frozenset(own if name == "." else name for name in listed if name != "~")


def visible_in(obj: Object, namespace: str) -> bool:
    """Return whether proxies of `namespace` are given the object."""
    scope = exports(obj)
    return "*" in scope or namespace in scope


def scopes_meet(one: Object, other: Object) -> bool:
    """Return whether some namespace sees both objects."""
    first, second = exports(one), exports(other)
    if not first or not second:
        return False
    return "*" in first or "*" in second or bool(first & second)


def in_force_order(objects: Iterable[Object], namespace: str) -> list[Object]:
    """Return the objects proxies of `namespace` see, the one they obey first.

    Visibility goes before age: private to the namespace, exported to it by name, public; within a
    group by age, name, namespace (pilot/pkg/model/virtualservice.go).
    """

    def group(obj: Object) -> int:
        scope = exports(obj)
        if scope == {namespace} and identity(obj)[0] == namespace:
            return 0
        return 2 if "*" in scope else 1

    return sorted((obj for obj in objects if visible_in(obj, namespace)), key=lambda obj: (group(obj), age_order(obj)))
