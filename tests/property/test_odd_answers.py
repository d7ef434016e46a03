# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a server, a proxy of the company or a sidecar answers, it is used or it is an error that says what to do.

An answer is any bytes, any JSON, or a right answer of which one part is another JSON value.
"""

from __future__ import annotations

import copy
import http.client
import json
import math
import types
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, in_flight, traffic
from ansible_collections.meshops.canary.plugins.module_utils.envoy import config_dump
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError, InvalidInput, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.kube import pod_exec
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.kube.http import (
    LONGEST_PAUSE,
    Answer,
    Transport,
    bounded_retry,
)
from ansible_collections.meshops.canary.plugins.module_utils.mesh import proxies
from ansible_collections.meshops.canary.plugins.module_utils.objects import json_text
from ansible_collections.meshops.canary.plugins.module_utils.objects.headers import checked_headers
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Prometheus
from ansible_collections.meshops.canary.plugins.module_utils.routing import kinds as routing_kinds
from hypothesis import example, given
from hypothesis import strategies as st
from support import reviews as rv
from urllib3 import HTTPHeaderDict, HTTPResponse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TEXTS: t.Final = (b"", b"null", b"[]", b"{}", b"<html>please log in", b"[" * 100_000, b'{"a":' * 100_000, b"\xff{}")
ODD_NUMBERS: t.Final = (b"NaN", b"1e999", b'"1"', b"9" * 5000, b"-1")


@st.composite
def _one_part_replaced(draw: t.Any, right: t.Any) -> t.Any:
    value = copy.deepcopy(right)
    parts = _parts(value)
    holder, key = parts[draw(st.integers(0, len(parts) - 1))]
    if draw(st.booleans()):
        holder[key] = draw(JSON)
    elif isinstance(holder, dict):
        del holder[key]
    else:
        holder.append(draw(JSON))
    return value


def _parts(value: t.Any) -> list[tuple[t.Any, t.Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [pair for key in keys for pair in ((value, key), *_parts(value[key]))]


def outcome(ask: t.Callable[[], t.Any]) -> tuple[t.Any, CanaryError | None]:
    """Return what was answered, or the error; any other exception is a defect."""
    try:
        return ask(), None
    except CanaryError as error:
        return None, error


def answers(right: t.Any) -> st.SearchStrategy[bytes]:
    """Return answers of which some are nearly right, and some are not even JSON."""
    odd = _one_part_replaced(right) | JSON
    return (
        st.sampled_from((*TEXTS, *ODD_NUMBERS)) | st.binary(max_size=20) | odd.map(lambda one: json.dumps(one).encode())
    )


class Scripted(Transport):
    """The transport, with one answer for everything."""

    def __init__(self, status: int, body: bytes) -> None:
        self.answer = Answer(status, body)
        self.warnings = []

    @property
    def host(self) -> str:
        return "https://api.example.com"

    def send(self, *_request: t.Any, **_named: t.Any) -> Answer:
        return self.answer


OBJECT: t.Final = {**rv.virtual_service(), "status": {}}
LIST: t.Final = {"apiVersion": "v1", "kind": "List", "metadata": {"continue": ""}, "items": [OBJECT, rv.service()]}
FAILURE: t.Final = {
    "kind": "Status",
    "message": "no",
    "reason": "Invalid",
    "details": {"causes": [{"field": "spec", "message": "x"}]},
}
STATUSES: t.Final = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 410, 422, 500, 503])


@given(STATUSES, answers(OBJECT) | answers(LIST) | answers(FAILURE))
@example(200, b"null")
@example(200, b'{"metadata":[]}')
@example(200, b'{"items":{"a":1}}')
@example(200, b'{"items":[null]}')
@example(422, b'{"kind":"Status","details":[]}')
def test_an_answer_of_the_api_server_is_an_object_or_an_error(status: int, body: bytes) -> None:
    cluster = Cluster(Scripted(status, body))
    for ask in (
        lambda: cluster.get(kinds.VIRTUAL_SERVICE, "shop", "reviews"),
        lambda: cluster.list(kinds.VIRTUAL_SERVICE, "shop"),
        lambda: cluster.create(kinds.VIRTUAL_SERVICE, "shop", rv.virtual_service()),
        lambda: cluster.patch(kinds.VIRTUAL_SERVICE, "shop", "reviews", [], after=rv.virtual_service()),
        lambda: cluster.delete(kinds.VIRTUAL_SERVICE, "shop", "reviews", uid="1"),
        lambda: cluster.access_review("get", kinds.POD, "shop"),
    ):
        found, error = outcome(ask)
        assert error is None or "virtualservice" in error.msg.lower() or "selfsubjectaccessreview" in error.msg
        for one in found if isinstance(found, list) else [found] if isinstance(found, dict) else []:
            assert isinstance(one.get("metadata") or {}, dict)
            assert isinstance((one.get("metadata") or {}).get("annotations") or {}, dict)
            assert isinstance(one.get("spec") or {}, dict)
        for one in found if isinstance(found, list) else []:
            assert isinstance(one["metadata"]["name"], str)


DATES: t.Final = (
    "yesterday",
    "Thu, 01 Jan 1970 00:00:00 -0000",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 32 Foo 2026 99:99:99 +9999",
    "0",
    "Tue, 01 Dec 2026 04:00:00 GMT",
    "Tue, 01 Dec 2026 04:00:00 -2400",
)


@given(st.sampled_from(DATES) | st.text(max_size=40))
@example("yesterday")
@example("Tue, 01 Dec 2026 04:00:00 -0000")
def test_a_date_is_the_servers_clock_or_none(text: str) -> None:
    transport = Cluster.connect({"host": "https://api.example.com", "api_key": "k"}, {})._transport
    transport._note(HTTPHeaderDict({"Date": text}))
    assert transport.server_time is None or transport.server_time.tzinfo is not None
    transport._note(HTTPHeaderDict({"Date": "Tue, 01 Dec 2026 04:00:00 GMT"}))
    assert str(transport.server_time).startswith("2026-12-01 04:00:00")


PAUSES: t.Final = (
    "soon",
    "",
    "-1",
    "1.5",
    "1e9",
    "9" * 5000,
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 1 Jan 1990",
    "\u0661",
)


@given(st.sampled_from(PAUSES) | st.text(max_size=20))
@example("soon")
@example("9" * 5000)
def test_a_pause_is_bounded_whatever_the_server_says(text: str) -> None:
    pause = bounded_retry().get_retry_after(HTTPResponse(status=503, headers={"Retry-After": text}))
    assert pause is None or 0 <= pause <= LONGEST_PAUSE


VECTOR: t.Final = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.5, "2"]}]},
    "warnings": ["x"],
}
MATRIX: t.Final = {
    "status": "success",
    "data": {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": [[1, "2"], [2, "NaN"]]}]},
}
SCALAR: t.Final = {"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}


@given(STATUSES, answers(VECTOR) | answers(MATRIX) | answers(SCALAR))
@example(200, b'{"status":"success","data":{"resultType":"vector","result":[null]}}')
@example(200, b'{"status":"success","data":{"resultType":"vector","result":7}}')
@example(200, b'{"status":"success","data":{"resultType":"scalar","result":null}}')
@example(200, b'{"status":"success","data":{"resultType":"matrix"}}')
@example(200, b'{"status":"success","warnings":7,"data":{"resultType":"vector","result":[]}}')
def test_an_answer_of_prometheus_is_series_or_an_error(status: int, body: bytes) -> None:
    server = Prometheus("http://prometheus.example.com")
    server._request = lambda *_given: types.SimpleNamespace(status=status, data=body, headers={})  # type: ignore[assignment]
    for ask in (lambda: server.query("up"), lambda: server.query_range("up", 0, 1, 1)):
        found, error = outcome(ask)
        assert error is None or (isinstance(error, MetricsError) and "prometheus.example.com" in error.msg)
        for one in found or ():
            assert all(isinstance(text, str) for pair in one.labels.items() for text in pair)
            assert all(isinstance(number, float) for pair in one.values for number in pair)


class Pods:
    """A cluster whose pods give one answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def port_forward(self, *_given: t.Any) -> bytes:
        return self.body

    pod_proxy_get = port_forward

    def list(self, *_given: t.Any, **_named: t.Any) -> list[dict[str, t.Any]]:
        return [{"metadata": {"name": "istiod-1"}, "status": {"phase": "Running"}}]


def mesh(body: bytes) -> proxies.Proxies:
    return proxies.Proxies(t.cast(t.Any, Pods(body)))


SYNC: t.Final = [{"proxy": "web-1.shop", "proxy_type": "SidecarProxy"}, {"proxy": "gw.istio", "proxy_type": "router"}]


@given(answers(SYNC))
@example(b"null")
@example(b'[{"proxy_type":"router"}]')
@example(b'{"a":{}}')
@example(b"7")
def test_an_answer_of_istiod_is_a_list_of_proxies_or_an_error(body: bytes) -> None:
    found, error = outcome(mesh(body).connected)
    assert error is None or "istiod" in error.msg
    assert all(isinstance(one.name, str) for one in found or ())


_ROUTE: t.Final = {
    "name": "r",
    "match": {
        "prefix": "/",
        "headers": [{"name": "end-user", "string_match": {"exact": "x"}}],
        "query_parameters": [{"name": "q", "string_match": {"safe_regex": {"regex": "a"}}}],
        "safe_regex": {"regex": "b"},
    },
    "route": {
        "weighted_clusters": {"clusters": [{"name": "outbound|80|v1|reviews.shop.svc.cluster.local", "weight": 5}]}
    },
    "metadata": {"filter_metadata": {"istio": {"config": "/apis/x/namespaces/shop/virtual-service/reviews"}}},
}
_FILTER: t.Final = {"typed_config": {"@type": "x/TcpProxy", "cluster": "outbound|80||reviews.shop.svc.cluster.local"}}
DUMPS: t.Final = {
    proxies.ROUTES: {"route_config": {"name": "80", "virtual_hosts": [{"domains": ["reviews"], "routes": [_ROUTE]}]}},
    proxies.LISTENERS: {"active_state": {"listener": {"filter_chains": [{"filters": [_FILTER]}]}}},
    proxies.ENDPOINTS: {
        "endpoint_config": {
            "cluster_name": "outbound|80||x",
            "endpoints": [{"lb_endpoints": [{"health_status": "HEALTHY"}]}],
        }
    },
    proxies.CLUSTERS: {"cluster": {"name": "outbound|80||x", "type": "EDS"}},
}


@pytest.mark.parametrize("kind", list(DUMPS))
@given(st.data())
def test_an_answer_of_a_proxy_is_its_configuration_or_an_error(kind: str, data: st.DataObject) -> None:
    body = data.draw(answers({"configs": [DUMPS[kind]]}))
    dump, error = outcome(lambda: mesh(body).config_dump(proxies.Proxy("shop", "web-1"), (kind,)))
    if error:
        assert "Envoy of shop/web-1" in error.msg
        return
    config_dump.check(dump, kind)
    snapshot = Snapshot(**{name: tuple(objects) for name, objects in rv.healthy("shop").items()})
    routed = RoutedService(ServiceRef("reviews", "shop"), snapshot, tuple(snapshot.virtual_services or ()))
    assert isinstance(routing_kinds.of_api("istio").missing_routes(dump, routed, None), list)


NUMBERS: t.Final = st.sampled_from(
    ["NaN", "+Inf", "-Inf", "-5", "1e5", "1.2.3", "1e5e", "--", "\u00b2", "\u0663", "9" * 400]
)


HOST: t.Final = "reviews.shop.svc.cluster.local"
COUNTERS: t.Final = (
    f'istio_requests_total{{reporter="source",destination_service="{HOST}",destination_version="v1",response_code="200"}}',
    f'istio_requests_total{{reporter="source",destination_service="{HOST}",destination_version="v1",response_code="0",'
    'response_flags="DC"}',
    f'envoy_cluster_upstream_rq{{response_code="200",cluster_name="outbound|80|v1|{HOST}"}}',
)


@given(st.lists(st.tuples(st.sampled_from(COUNTERS), NUMBERS | st.just("7")), min_size=1, max_size=5))
@example([(COUNTERS[1], "NaN")])
@example([(COUNTERS[0], "+Inf")])
def test_an_answer_with_odd_numbers_is_counted_without_them(lines: list[tuple[str, str]]) -> None:
    names = traffic.Names({HOST: None}, {"v1": "v1"})
    text = "\n".join(f"{name} {number}" for name, number in lines)
    before, after = (mesh(page.encode()).counters("shop", "web-1", "x") for page in (f"{COUNTERS[0]} 5", text))
    assert len(before) == 1
    assert all(0 <= one < math.inf for one in traffic.client_counters("web-1", after, names).values())
    readings = [counter_deltas.client_reading("web-1", samples, names) for samples in (before, after)]
    assert readings[0].counts
    for one in readings:
        for other in readings:
            assert all(count.requests >= 0 for count in counter_deltas.grown(one, other).ended.values())
    page = "\n".join(f"outbound|80|v1|reviews::10.0.0.1:80::rq_active::{number}" for _name, number in lines)
    endpoints, _size = mesh(page.encode()).endpoints(proxies.Proxy("shop", "web-1"), "^outbound")
    in_flight.from_endpoints("web-1", endpoints, lambda _labels: "v1")


@given(answers({"status": "Failure", "message": "no"}))
@example(b"null")
def test_the_end_of_a_command_is_success_or_an_error(body: bytes) -> None:
    try:
        pod_exec._check(body, b"")
    except pod_exec.CommandFailedError:
        return
    assert json.loads(body)["status"] == "Success"


NAMES: t.Final = st.sampled_from([1, 1.5, True, None, "X-Scope-OrgID", "a b", "", "\u00e4", "x\n"]) | st.text(
    max_size=5
)


@given(st.dictionaries(NAMES, JSON | st.sampled_from(["a\r\nX: y", "\u20ac", "ok"]), max_size=3))
@example({1: 2})
@example({"X": "y\n"})
@example({"X": "\u20ac"})
@example({"X": ["a"]})
def test_headers_are_sent_or_refused(headers: dict[t.Any, t.Any]) -> None:
    checked, error = outcome(lambda: checked_headers("prometheus_headers", headers))
    if error:
        assert isinstance(error, InvalidInput)
        assert error.msg.startswith("prometheus_headers: ")
        return
    connection = http.client.HTTPConnection("prometheus.example.com")
    connection.putrequest("GET", "/")
    for name, value in checked.items():
        connection.putheader(name, value)


@given(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_json_is_an_object_or_a_value_error(body: bytes) -> None:
    try:
        value = json_text.parse_mapping(body)
    except ValueError:
        return
    assert isinstance(value, dict)
