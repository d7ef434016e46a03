# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the ports of a Service speak. Pure.

Istio takes a port's protocol from appProtocol, else from the port's name up to the first dash. Without either it
looks at the first bytes; a port of another protocol has connections, not requests.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .metadata import Object

HTTP: t.Final = frozenset({"http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"})
OTHER: t.Final = frozenset({"https", "tls", "tcp", "udp", "mongo", "mysql", "redis", "kubernetes.io/wss"})
WELL_KNOWN_TCP: t.Final = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL and MongoDB: without a declared protocol istiod takes them for TCP (pkg/kube, ConvertProtocol)."""


def protocol_of(port: Object) -> str:
    """Return the protocol a port declares, in lower case; empty if it declares none that Istio knows."""
    if port.get("protocol") == "UDP":
        return "udp"  # whatever its name says: Istio has no route for datagrams
    declared = str(port.get("appProtocol") or "").lower()
    if declared in HTTP | OTHER:
        return declared
    name = str(port.get("name") or "").lower()
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return "grpc-web"
    prefix = name.partition("-")[0]
    if prefix in HTTP | OTHER:
        return prefix
    return "tcp" if port.get("port") in WELL_KNOWN_TCP else ""


def route_protocol(port: Object) -> str | None:
    """Return the list of a VirtualService that routes the port: http or tcp; None for UDP, which Istio does not route.

    A port without a known protocol is taken for HTTP, as Istio does when the first bytes look like it.
    """
    protocol = protocol_of(port)
    if protocol == "udp" or port.get("protocol") == "SCTP":
        return None
    return "tcp" if protocol in OTHER else "http"
