# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answers a request, worked out from a VirtualService the plain way: first match wins. For tests only."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from fractions import Fraction

Json = dict[str, t.Any]


@dataclass(frozen=True)
class Request:
    """A request as a sidecar of namespace bookinfo sees it."""

    path: str = "/"
    method: str = "GET"
    port: int = 9080
    headers: t.Mapping[str, str] = field(default_factory=dict)
    query: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    namespace: str = "bookinfo"


def first_match(spec: Json, request: Request) -> Json | None:
    """Return the http route that answers."""
    for route in spec.get("http") or ():
        blocks = route.get("match") or [{}]
        if any(block_matches(block, request) for block in blocks):
            return t.cast("Json", route)
    return None


def shares(route: Json | None) -> dict[tuple[str, str], Fraction]:
    """Return (host, subset) -> share of the route, short names as they are written."""
    if route is None or "route" not in route:
        return {}
    entries = route["route"]
    weights = [entry.get("weight", 0) for entry in entries]
    if len(entries) == 1:
        weights = [1]
    dealt: dict[tuple[str, str], Fraction] = {}
    for entry, weight in zip(entries, weights, strict=True):
        destination = entry["destination"]
        host = destination["host"].removesuffix(".bookinfo.svc.cluster.local")
        key = (host, destination.get("subset", ""))
        if weight:
            dealt[key] = dealt.get(key, Fraction(0)) + Fraction(weight, sum(weights))
    return dealt


def block_matches(block: Json, request: Request) -> bool:
    """Return whether everything the block says is true of the request."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    checks = [
        _path(block, request.path),
        "method" not in block or _string(block["method"], request.method),
        "scheme" not in block or _string(block["scheme"], "http"),
        "authority" not in block or _string(block["authority"], "reviews:9080"),
        not block.get("port") or block["port"] == request.port,
        not block.get("gateways") or "mesh" in block["gateways"],
        block.get("gateways") or _labels(block.get("sourceLabels") or {}, request.labels),
        block.get("gateways") or block.get("sourceNamespace", request.namespace) == request.namespace,
        *(_present(headers, name.lower(), condition) for name, condition in (block.get("headers") or {}).items()),
        *(not _header_is(headers, name, condition) for name, condition in (block.get("withoutHeaders") or {}).items()),
        *(_present(request.query, name, condition) for name, condition in (block.get("queryParams") or {}).items()),
    ]
    return all(checks)


def _path(block: Json, path: str) -> bool:
    condition = block.get("uri")
    if condition is None:
        return True
    if block.get("ignoreUriCase") and "regex" not in condition:
        return _string({kind: text.lower() for kind, text in condition.items()}, path.lower())
    return _string(condition, path)


def _string(condition: Json, value: str) -> bool:
    if "exact" in condition:
        return bool(value == condition["exact"])
    if "prefix" in condition:
        return value.startswith(condition["prefix"])
    return re.fullmatch(condition["regex"], value) is not None


def _present(values: t.Mapping[str, str], name: str, condition: Json) -> bool:
    return name in values and (not condition or _string(condition, values[name]))


def _header_is(headers: t.Mapping[str, str], name: str, condition: Json) -> bool:
    if not condition:
        return name.lower() in headers
    return _string(condition, headers.get(name.lower(), ""))


def _labels(wanted: t.Mapping[str, str], labels: t.Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())
