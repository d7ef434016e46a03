# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a port speaks, as istiod reads it (pkg/config/kube/conversion.go)."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import ports


@pytest.mark.parametrize(
    ("port", "protocol", "routed_as"),
    [
        ({"name": "http"}, "http", "http"),
        ({"name": "http-monitor"}, "http", "http"),
        ({"name": "httpx"}, "", "http"),
        ({"name": "grpc-web-admin"}, "grpc-web", "http"),
        ({"name": "web", "appProtocol": "kubernetes.io/h2c"}, "kubernetes.io/h2c", "http"),
        ({"name": "https"}, "https", "tcp"),
        ({"name": "mongo-a"}, "mongo", "tcp"),
        ({"name": "dns", "port": 53, "protocol": "UDP"}, "udp", None),
        ({"name": "http-quic", "port": 443, "protocol": "UDP"}, "udp", None),
        ({"name": "quic", "appProtocol": "http", "protocol": "UDP"}, "udp", None),
        ({"name": "dns-tcp", "port": 53, "protocol": "TCP"}, "tcp", "tcp"),
        ({"name": "http-dns", "port": 53}, "http", "http"),
        ({"port": 3306}, "tcp", "tcp"),
        ({"name": "signal", "protocol": "SCTP"}, "", None),
        ({}, "", "http"),
    ],
)
def test_one_function_says_what_a_port_speaks(port: dict[str, t.Any], protocol: str, routed_as: str | None) -> None:
    assert (ports.protocol_of(port), ports.route_protocol(port)) == (protocol, routed_as)
