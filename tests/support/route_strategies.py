# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VirtualServices as people and machines write them: every field of the schema, and fields nobody has heard of."""

from __future__ import annotations

import itertools
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


def unknown() -> SearchStrategy[Json]:
    """Fields of a release to come."""
    return st.one_of(
        st.just({}), st.dictionaries(st.sampled_from(("xFuture", "x-vendor", "quota")), json_values(), max_size=1)
    )


def durations() -> SearchStrategy[str]:
    return st.sampled_from(("1s", "0.5s", "250ms", "3m"))


def string_matches(values: t.Sequence[str]) -> SearchStrategy[Json]:
    value = st.sampled_from(values)
    return st.one_of(
        value.map(lambda text: {"exact": text}),
        value.map(lambda text: {"prefix": text}),
        st.sampled_from(("(?i)jason", "[a-z]+", ".*", "eu-.*", "^$")).map(lambda text: {"regex": text}),
    )


def header_matches() -> SearchStrategy[Json]:
    condition = st.one_of(string_matches(VALUES), st.just({}))
    return st.dictionaries(st.sampled_from(HEADERS), condition, min_size=1, max_size=2)


def path_matches() -> SearchStrategy[Json]:
    value = st.sampled_from(PATHS)
    return st.one_of(value.map(lambda text: {"exact": text}), value.map(lambda text: {"prefix": text}))


def match_blocks() -> SearchStrategy[Json]:
    return some(
        name=st.sampled_from(("by-path", "by-user")),
        uri=path_matches(),
        scheme=st.just({"exact": "http"}),
        method=st.sampled_from(("GET", "POST")).map(lambda method: {"exact": method}),
        authority=st.just({"prefix": "reviews"}),
        headers=header_matches(),
        withoutHeaders=header_matches(),
        port=st.sampled_from((80, 9080)),
        sourceLabels=st.dictionaries(
            st.sampled_from(("app", "team")), st.sampled_from(("a", "b")), min_size=1, max_size=1
        ),
        gateways=st.just(["mesh"]),
        queryParams=st.dictionaries(st.sampled_from(("q", "debug")), st.just({"exact": "1"}), min_size=1, max_size=1),
        ignoreUriCase=st.booleans(),
        sourceNamespace=st.sampled_from(("bookinfo", "other")),
        statPrefix=st.just("reviews"),
        xFuture=json_values(),
    )


def header_operations() -> SearchStrategy[Json]:
    names = st.sampled_from(("x-version", "x-trace", "x-team"))
    operations = some(
        set=st.dictionaries(names, st.sampled_from(VALUES), min_size=1, max_size=1),
        add=st.dictionaries(names, st.sampled_from(VALUES), min_size=1, max_size=1),
        remove=st.lists(names, min_size=1, max_size=1),
    )
    return some(request=operations, response=operations)


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
    percent = st.floats(0, 100, allow_nan=False).map(lambda value: {"value": round(value, 2)})
    mirrors = st.lists(
        st.fixed_dictionaries(
            {"destination": destinations(("ratings", "legacy.example.com"))}, optional={"percentage": percent}
        ),
        min_size=1,
        max_size=2,
    )
    return some(
        rewrite=st.one_of(st.just({"authority": "reviews.internal"}), st.just({"uri": "/v2"})),
        timeout=durations(),
        retries=some(
            attempts=st.integers(0, 5), perTryTimeout=durations(), retryOn=st.just("5xx,reset"), backoff=durations()
        ),
        fault=some(
            delay=st.fixed_dictionaries({"fixedDelay": durations()}, optional={"percentage": percent}),
            abort=st.fixed_dictionaries({"httpStatus": st.sampled_from((500, 503))}, optional={"percentage": percent}),
        ),
        mirrors=mirrors,
        corsPolicy=some(allowMethods=st.just(["GET"]), maxAge=durations(), allowCredentials=st.booleans()),
        headers=header_operations(),
        xFuture=json_values(),
    )


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
