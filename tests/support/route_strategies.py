# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VirtualServices as people and machines write them: every field of the schema, and fields nobody has heard of."""

from __future__ import annotations

import itertools
import json
import typing as t

from hypothesis import strategies as st

if t.TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Json = dict[str, t.Any]

NAMESPACE = "bookinfo"
VERSIONS = ("v1", "v2", "v3", "v4")
OWN_HOSTS = ("reviews", "reviews.bookinfo.svc.cluster.local")
OTHER_HOSTS = ("ratings", "legacy.example.com", "reviews.other.svc.cluster.local", "reviews.prod")
HEADERS = ("end-user", "x-canary", "x-region", "user-agent")
VALUES = ("testuser", "jason", "always", "eu-west", "eu")
_UNKNOWN: tuple[Json, ...] = ({}, {}, {"xFuture": {"a": [1]}}, {"x-vendor": None}, {"quota": 5}, {"xFuture": ""})
PATHS = ("/", "/api", "/api/v2", "/reviews", "/health")


def json_values() -> SearchStrategy[t.Any]:
    """Anything JSON can say."""
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**31), 2**31), st.text(max_size=8))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
        max_leaves=8,
    )


def some(**fields: SearchStrategy[t.Any]) -> SearchStrategy[Json]:
    """A mapping with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def fresh(value: t.Any) -> t.Any:
    """A copy no part of which is shared with another part, as it comes from an API server."""
    return json.loads(json.dumps(value))


def unknown() -> SearchStrategy[Json]:
    """Fields of a release to come."""
    return st.sampled_from(_UNKNOWN).map(fresh)


# Pairs rather than nested strategies: the same variety with a tenth of the draws.
_STRING_MATCHES: tuple[Json, ...] = (
    *({kind: value} for kind in ("exact", "prefix") for value in VALUES),
    *({"regex": expression} for expression in ("(?i)jason", "[a-z]+", ".*", "eu-.*", "^$")),
    {},
)
_PATH_MATCHES = tuple({kind: path} for kind in ("exact", "prefix") for path in PATHS)
_PATH_EXPRESSIONS = ({"regex": "/api/v[0-9]+"}, {"regex": ".*"})
_HEADER_MAPS: tuple[Json, ...] = (
    *({name: condition} for name in HEADERS for condition in _STRING_MATCHES),
    *({"end-user": one, "x-region": other} for one in _STRING_MATCHES for other in _STRING_MATCHES),
)
_MATCH_ITEMS: tuple[tuple[str, t.Sequence[t.Any]], ...] = (
    ("name", ("by-path", "by-user")),
    ("uri", (*_PATH_MATCHES, *_PATH_EXPRESSIONS)),
    ("scheme", ({"exact": "http"},)),
    ("method", ({"exact": "GET"}, {"exact": "POST"})),
    ("authority", ({"prefix": "reviews"},)),
    ("headers", _HEADER_MAPS),
    ("withoutHeaders", _HEADER_MAPS),
    ("port", (80, 9080)),
    ("sourceLabels", ({"app": "a"}, {"app": "b"}, {"team": "a"})),
    ("gateways", (["mesh"],)),
    ("queryParams", ({"q": {"exact": "1"}}, {"debug": {"exact": "1"}}, {"q": {}})),
    ("ignoreUriCase", (True, False)),
    ("sourceNamespace", ("bookinfo", "other")),
    ("statPrefix", ("reviews",)),
    ("xFuture", (None, {"a": [1, {"b": ""}]}, "text")),
)
_PERCENTAGES: tuple[Json, ...] = ({"value": 0}, {"value": 0.1}, {"value": 50}, {"value": 100}, {})
_OPERATIONS: tuple[Json, ...] = (
    {},
    {"set": {"x-version": "1"}},
    {"add": {"x-trace": "always"}, "remove": ["x-team"]},
    {"set": {"x-team": "eu"}, "add": {"x-version": "1"}},
)
_HEADER_OPERATIONS: tuple[Json, ...] = (
    *({"request": one} for one in _OPERATIONS),
    *({"response": one} for one in _OPERATIONS),
    *({"request": one, "response": other} for one in _OPERATIONS for other in _OPERATIONS),
)
_POLICY_ITEMS: tuple[tuple[str, t.Sequence[t.Any]], ...] = (
    (
        "rewrite",
        ({"authority": "reviews.internal"}, {"uri": "/v2"}, {"uriRegexRewrite": {"match": "a", "rewrite": ""}}),
    ),
    ("timeout", ("1s", "0.5s", "250ms", "3m")),
    (
        "retries",
        ({}, {"attempts": 0}, {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,reset"}, {"backoff": "1s"}),
    ),
    (
        "fault",
        (
            {},
            *({"delay": {"fixedDelay": "7s", "percentage": percentage}} for percentage in _PERCENTAGES),
            *({"abort": {"httpStatus": 503, "percentage": percentage}} for percentage in _PERCENTAGES),
        ),
    ),
    (
        "mirrors",
        (
            [{"destination": {"host": "ratings"}}],
            [{"destination": {"host": "legacy.example.com", "port": {"number": 80}}, "percentage": {"value": 5}}],
            [{"destination": {"host": host}, "percentage": {}} for host in ("ratings", "shadow")],
        ),
    ),
    ("mirror", ({"host": "ratings"}, {"host": "reviews", "subset": "v2"}, {"host": "shadow", "port": {"number": 80}})),
    ("mirrorPercentage", _PERCENTAGES),
    (
        "corsPolicy",
        ({}, {"allowMethods": ["GET"], "maxAge": "24h"}, {"allowOrigins": [{"regex": ".*"}], "allowCredentials": True}),
    ),
    ("headers", _HEADER_OPERATIONS),
    ("xFuture", (None, {"a": [1, {"b": ""}]}, "text", 0, False, [])),
    ("x-vendor", ({"quota": {"per": "minute"}},)),
)


@st.composite
def picked(draw: t.Any, items: t.Sequence[tuple[str, t.Sequence[t.Any]]], most: int) -> Json:
    """A mapping of some of the items, each with one of its values."""
    chosen = draw(st.lists(st.sampled_from(items), max_size=most, unique_by=lambda item: item[0]))
    return {key: fresh(draw(st.sampled_from(values))) for key, values in chosen}


def match_blocks() -> SearchStrategy[Json]:
    return picked(_MATCH_ITEMS, 4)


def header_operations() -> SearchStrategy[Json]:
    return st.sampled_from(_HEADER_OPERATIONS).map(fresh)


@st.composite
def destinations(draw: t.Any, hosts: t.Sequence[str], subsets: t.Sequence[str] = VERSIONS) -> Json:
    host = draw(st.sampled_from(hosts))
    destination: Json = {"host": host}
    if host in OWN_HOSTS:
        destination["subset"] = draw(st.sampled_from(subsets))
        if draw(st.integers(0, 5)) == 0:
            del destination["subset"]
    elif draw(st.booleans()):
        destination["subset"] = draw(st.sampled_from(("v1", "blue")))
    if draw(st.booleans()):
        destination["port"] = {"number": draw(st.sampled_from((80, 9080)))}
    return {**destination, **draw(unknown())}


@st.composite
def destination_lists(draw: t.Any, *, l4: bool = False, own: bool | None = None) -> list[Json]:
    """Destinations of one route; own: only ours, or none of ours; of each host and version one entry."""
    hosts = OWN_HOSTS if own else OTHER_HOSTS if own is False else (*OWN_HOSTS, *OTHER_HOSTS)
    entries: list[Json] = []
    seen: set[tuple[t.Any, t.Any]] = set()
    for destination in draw(st.lists(destinations(hosts), min_size=1, max_size=4)):
        key = (destination["host"].split(".bookinfo.svc")[0], destination.get("subset"))
        if key in seen:
            continue
        seen.add(key)
        entry: Json = {"destination": destination}
        if draw(st.booleans()) or len(seen) == 1:
            entry["weight"] = draw(st.one_of(st.sampled_from((0, 1, 5, 10, 50, 90, 100)), st.integers(0, 1000)))
        if not l4 and draw(st.integers(0, 3)) == 0:
            entry["headers"] = draw(header_operations())
        entries.append({**entry, **draw(unknown())})
    if len(entries) == 1:
        if draw(st.booleans()):
            entries[0].pop("weight", None)
    elif not any(entry.get("weight") for entry in entries):
        entries[0]["weight"] = 100
    return entries


def route_policies() -> SearchStrategy[Json]:
    """Everything a route may say beside where it matches and where it sends."""
    return picked(_POLICY_ITEMS, 4)


@st.composite
def http_routes(draw: t.Any, index: int) -> Json:
    route: Json = {}
    if draw(st.booleans()):
        route["name"] = draw(st.sampled_from(("primary", "api", "Main Route", "a.b"))) + str(index)
    if draw(st.integers(0, 2)):
        route["match"] = draw(st.lists(match_blocks(), min_size=1, max_size=2))
    route.update(draw(route_policies()))
    kind = draw(st.sampled_from(("ours", "ours", "ours", "mixed", "theirs", "redirect", "answer", "delegate")))
    if kind == "redirect":
        return {
            **{key: route[key] for key in ("name", "match") if key in route},
            "redirect": {"uri": "/v2", "redirectCode": 302},
        }
    if kind == "answer":
        return {**{key: route[key] for key in ("name", "match") if key in route}, "directResponse": {"status": 503}}
    if kind == "delegate":
        return {**{key: route[key] for key in ("name", "match") if key in route}, "delegate": {"name": "elsewhere"}}
    route["route"] = draw(destination_lists(own={"ours": True, "theirs": False}.get(kind)))
    return route


@st.composite
def l4_routes(draw: t.Any, protocol: str) -> Json:
    route: Json = {"route": draw(destination_lists(l4=True))}
    if protocol == "tls":
        route["match"] = [{"port": 443, "sniHosts": ["reviews.bookinfo.svc.cluster.local"]}]
    elif draw(st.booleans()):
        route["match"] = [
            draw(some(port=st.just(9090), sourceLabels=st.just({"app": "a"}), gateways=st.just(["mesh"])))
        ]
    return {**route, **draw(unknown())}


@st.composite
def virtual_services(draw: t.Any) -> Json:
    """A VirtualService of the service `reviews`, with at least one general route that is ours alone."""
    last: Json = {**draw(route_policies()), "route": draw(destination_lists(own=True))}
    count = draw(st.integers(0, 3))
    spec: Json = {
        "hosts": [draw(st.sampled_from(OWN_HOSTS)), *draw(st.lists(st.just("reviews.example.com"), max_size=1))]
    }
    if draw(st.booleans()):
        spec["gateways"] = draw(st.sampled_from((["mesh"], ["mesh", "public"], ["infra/public", "mesh"])))
    if draw(st.booleans()):
        spec["exportTo"] = draw(st.sampled_from((["*"], ["."], [".", "other"])))
    spec["http"] = [*(draw(http_routes(index)) for index in range(count)), last]
    for protocol in ("tcp", "tls"):
        if draw(st.integers(0, 3)) == 0:
            spec[protocol] = draw(st.lists(l4_routes(protocol), min_size=1, max_size=2))
    spec.update(draw(unknown()))
    metadata: Json = {"name": "reviews-routes", "namespace": NAMESPACE, "resourceVersion": "41", "generation": 3}
    if draw(st.booleans()):
        metadata["annotations"] = {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            **draw(some(note=st.text(max_size=5))),
        }
    if draw(st.booleans()):
        metadata["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    obj = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}
    if draw(st.booleans()):
        obj["status"] = {"observedGeneration": 3}
    return obj


def destination_rule(versions: t.Sequence[str] = VERSIONS, host: str = "reviews") -> Json:
    """The DestinationRule with a subset for every version."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": host, "namespace": NAMESPACE, "resourceVersion": "7"},
        "spec": {"host": host, "subsets": [{"name": version, "labels": {"version": version}} for version in versions]},
    }


@st.composite
def percents(draw: t.Any, versions: t.Sequence[str] = VERSIONS) -> dict[str, str]:
    """Weights that add up to 100, some of them with up to three decimals."""
    chosen = draw(st.lists(st.sampled_from(versions), min_size=1, max_size=len(versions), unique=True))
    unit = draw(st.sampled_from((1, 10, 1000)))
    cuts = sorted(draw(st.lists(st.integers(0, 100 * unit), min_size=len(chosen) - 1, max_size=len(chosen) - 1)))
    edges = [0, *cuts, 100 * unit]
    parts = [after - before for before, after in itertools.pairwise(edges)]
    return {
        version: f"{part // unit}.{part % unit * (1000 // unit):03d}"
        for version, part in zip(chosen, parts, strict=True)
    }


def cohort_matches() -> SearchStrategy[Json]:
    """What the user writes to select a cohort."""
    condition = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(VALUES).map(lambda value: {"exact": value}),
        st.sampled_from(VALUES).map(lambda value: {"prefix": value}),
        st.just({"present": True}),
        st.just({"absent": True}),
    )
    return st.fixed_dictionaries(
        {"headers": st.dictionaries(st.sampled_from(HEADERS), condition, min_size=1, max_size=2)},
        optional={
            "methods": st.just(["GET"]),
            "query": st.just({"q": "1"}),
            "cookies": st.just({"canary": "always"}),
        },
    )
