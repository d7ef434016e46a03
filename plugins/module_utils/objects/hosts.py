# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts, visibility and gateways as Istio reads them. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .metadata import creation_order, identity

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .metadata import Object

MESH: t.Final = "mesh"


def is_outside(name: str) -> bool:
    """Return whether the name of a service or version is the host of a ServiceEntry: no Service's name has a dot."""
    return "." in name


@dataclass(frozen=True)
class ServiceRef:
    """The service by which everything is found. root_namespace: of the mesh; its DestinationRules apply everywhere.

    name: of the Service, or the host of a ServiceEntry (`api.example.com`). namespace: then that of its routes.
    """

    name: str
    namespace: str
    domain: str = "cluster.local"
    root_namespace: str = "istio-system"

    @classmethod
    def from_fqdn(cls, fqdn: str) -> ServiceRef:
        """Return the service that has this full name. The host of a ServiceEntry does not tell its namespace."""
        if not is_host_of_service(fqdn):
            return cls(fqdn, "")
        name, namespace, _svc, domain = fqdn.split(".", 3)
        return cls(name, namespace, domain)

    @property
    def fqdn(self) -> str:
        """Return `name.namespace.svc.domain`, or the host of the ServiceEntry."""
        return self.name if self.is_outside else f"{self.name}.{self.namespace}.svc.{self.domain}"

    @property
    def is_outside(self) -> bool:
        """Return whether the service is the host of a ServiceEntry."""
        return is_outside(self.name)

    def sibling(self, name: str) -> ServiceRef:
        """Return another Service of the same namespace, or another host: a version that is one."""
        return replace(self, name=name)

    def version_of_host(self, host: str) -> str:
        """Return the version that a full host is: a Service of the same namespace by its name, or a host that is none.

        Empty for Services of other namespaces, which are no versions.
        """
        name = version_name(host)
        return name if name and self.sibling(name).fqdn == host else ""

    def is_host(self, host: str, namespace: str) -> bool:
        """Return whether `host`, written in an object of `namespace`, means exactly this service."""
        return expand(host, namespace, self.domain) == self.fqdn

    def is_literal_host(self, host: str) -> bool:
        """Return whether `host` looks like this service, and is another to Istio: `reviews.prod`.

        Proxies get a virtual host for that very name on port 80, and only callers who use the name reach it.
        """
        return host in (f"{self.name}.{self.namespace}", f"{self.name}.{self.namespace}.svc")

    def covered_by(self, host: str, namespace: str) -> bool:
        """Return whether `host` means this service, also by a wildcard (`*`, `*.prod.svc.cluster.local`)."""
        return covers(expand(host, namespace, self.domain), self.fqdn)


def is_host_of_service(host: str) -> bool:
    """Return whether the full host is a Service's: `name.namespace.svc.domain`."""
    parts = host.split(".", 3)
    return len(parts) > 3 and parts[2] == "svc"


def version_name(host: str) -> str:
    """Return the name that a full host has as a version: a Service's without namespace, another host as it is."""
    return host.partition(".")[0] if is_host_of_service(host) else host


def expand(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """Return the full host that Istio resolves `host` to.

    Only a name without a dot is completed: `reviews.prod` stays as it is and matches no service
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
    namespace, _name = identity(virtual_service)
    named = (virtual_service.get("spec") or {}).get("gateways") or [MESH]
    return [resolve_gateway(str(name), namespace) for name in named]


def resolve_gateway(name: str, namespace: str) -> str:
    """Return the Gateway that `name`, written in an object of `namespace`, means: `namespace/name`, or `mesh`.

    Istio knows `NAME`, `NAMESPACE/NAME`, `./NAME`, and from its first releases `NAME.NAMESPACE` with anything after it
    (pilot/pkg/model/push_context.go, resolveGatewayName).
    """
    if name == MESH:
        return name
    home, slash, short = name.partition("/")
    if slash:
        return f"{namespace if home == '.' else home}/{short}"
    short, dot, rest = name.partition(".")
    return f"{rest.split('.')[0] if dot else namespace}/{short}"


def legacy_gateway_names(virtual_service: Object) -> list[str]:
    """Return the gateways that are named NAME.NAMESPACE, the form that istiod warns of, in `match` too."""
    spec = virtual_service.get("spec") or {}
    blocks = [
        block for key in ("http", "tls", "tcp") for route in spec.get(key) or () for block in route.get("match") or ()
    ]
    named = [*(spec.get("gateways") or ()), *(name for block in blocks for name in (block or {}).get("gateways") or ())]
    return [one for one in dict.fromkeys(map(str, named)) if "." in one and "/" not in one]


def is_for_mesh(virtual_service: Object) -> bool:
    """Return whether sidecars apply it."""
    return MESH in gateways_of(virtual_service)


def exported_to(obj: Object) -> frozenset[str]:
    """Return the namespaces the object is exported to: names, or `*`; empty when to nobody (`~`)."""
    own, _name = identity(obj)
    listed = (obj.get("spec") or {}).get("exportTo") or ["*"]
    if "*" in listed:
        return frozenset({"*"})
    return frozenset(own if name == "." else name for name in listed if name != "~")


def visible_in(obj: Object, namespace: str) -> bool:
    """Return whether proxies of `namespace` get the object."""
    scope = exported_to(obj)
    return "*" in scope or namespace in scope


def exports_overlap(one: Object, other: Object) -> bool:
    """Return whether some namespace sees both objects."""
    first, second = exported_to(one), exported_to(other)
    if not first or not second:
        return False
    return "*" in first or "*" in second or bool(first & second)


def by_precedence(objects: Iterable[Object], namespace: str) -> list[Object]:
    """Return the objects proxies of `namespace` see, the one they apply first.

    Visibility precedes age: private to the namespace, exported to it by name, public; within a
    group by age, name, namespace (pilot/pkg/model/virtualservice.go).
    """

    def group(obj: Object) -> int:
        scope = exported_to(obj)
        if scope == {namespace} and identity(obj)[0] == namespace:
            return 0
        return 2 if "*" in scope else 1

    return sorted(
        (obj for obj in objects if visible_in(obj, namespace)), key=lambda obj: (group(obj), creation_order(obj))
    )
