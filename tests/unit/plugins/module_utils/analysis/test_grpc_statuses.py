# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gRPC calls are judged by their own status: by Istio's label, and by Envoy's counters of calls."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, grpc_statuses, traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import parse_samples
from support.istio_metrics import SERVICE, counted, envoy_counted

NAMES = Names({SERVICE: None}, {"v1": "v1", "v2": "v2"})
PORT = frozenset({"9080"})


def calls(number: int, version: str, status: int | str, method: str = "") -> str:
    """Return Envoy's own counter of gRPC calls by status."""
    return f'envoy_cluster_grpc_{method}{status}{{cluster_name="outbound|9080|{version}|{SERVICE}"}} {number}\n'


def increment(
    before: str, after: str, *, grpc: frozenset[str] = PORT, names: Names = NAMES
) -> counter_deltas.Increment:
    readings = (counter_deltas.client_reading("p", list(parse_samples(page)), names, grpc) for page in (before, after))
    return counter_deltas.grown(*readings)


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (grpc_statuses.FAILURE_NAMES, {"2", "4", "12", "13", "14", "15"}),
        ([], set()),
        (["14", "resource-exhausted", " Not_Found "], {"14", "8", "5"}),
    ],
)
def test_failures_are_names_or_numbers(given: list[str], numbers: set[str]) -> None:
    assert grpc_statuses.failures(given) == numbers


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("503", "'503' is no status code of gRPC. There are: CANCELLED (1), UNKNOWN (2)"),
        ("17", "is no status code"),
        ("OK", "'OK' is no failure"),
        ("0", "'0' is no failure"),
        ("", "'' is no status code"),
    ],
)
def test_what_is_no_failure_is_refused(given: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        grpc_statuses.failures([given])
    assert "grpc_failures: " in caught.value.msg
    assert problem in caught.value.msg


def test_calls_behind_http_200_that_fail_are_errors_by_envoys_own_counters() -> None:
    stable = envoy_counted(900, "v1") + calls(900, "v1", 0) + calls(900, "v1", "success") + calls(900, "v1", "total")
    canary = envoy_counted(100, "v2") + calls(60, "v2", 13) + calls(10, "v2", 5) + calls(30, "v2", 0)
    answered = increment("", stable + canary + calls(70, "v2", "failure") + calls(100, "v2", "request_message_count"))
    assert answered.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(100, 60)}
    assert answered.codes["v2"] == {"200": 30, "failed grpc 13": 60, "grpc 5": 10}


def test_counters_by_method_are_counters_of_calls() -> None:
    page = envoy_counted(9, "v2") + calls(4, "v2", 0, "shop_Reviews_Get_") + calls(5, "v2", 14, "shop_Reviews_Get_14_")
    assert increment("", page).counts == {"v2": RequestCount(9, 5)}


def test_which_statuses_fail_can_be_chosen() -> None:
    page = envoy_counted(9, "v2") + calls(4, "v2", 8) + calls(5, "v2", 13)
    names = Names({SERVICE: None}, {}, grpc_failures=frozenset({"8"}))
    assert increment("", page, names=names).counts == {"v2": RequestCount(9, 4)}
    assert increment("", counted(4, "v2", grpc_response_status="8"), names=names).counts == {"v2": RequestCount(4, 4)}
    assert increment("", counted(4, "v2", grpc_response_status="13"), names=names).counts == {"v2": RequestCount(4, 0)}


def test_a_call_that_the_proxy_answers_itself_is_one_failure() -> None:
    """Envoy counts it as 503, which is the attempt, and as UNAVAILABLE, which is the call."""
    page = envoy_counted(30, "v2", 503) + calls(30, "v2", 14) + envoy_counted(70, "v2") + calls(70, "v2", 0)
    assert increment("", page).counts == {"v2": RequestCount(100, 30)}
    timeouts = envoy_counted(7, "v2", 504) + calls(4, "v2", 4) + calls(3, "v2", 14)
    assert increment("", timeouts).counts == {"v2": RequestCount(7, 7)}
    retried = envoy_counted(30, "v2", 503) + envoy_counted(100, "v2") + calls(100, "v2", 0)
    assert increment("", retried).counts == {"v2": RequestCount(130, 30)}, "an attempt that was repeated failed"


def test_an_answer_that_is_not_of_grpc_counts_by_its_http_status() -> None:
    page = envoy_counted(50, "v2", 404) + envoy_counted(10, "v2", 503) + calls(1, "v2", 0)
    answered = increment("", page)
    assert answered.counts == {"v2": RequestCount(61, 10)}
    assert answered.codes["v2"] == {"404": 50, "503": 10, "200": 1}


def test_calls_are_counted_at_their_end_where_the_port_is_declared_as_grpc() -> None:
    streaming = envoy_counted(20, "v2") + calls(5, "v2", 0)
    assert increment("", streaming).counts == {"v2": RequestCount(5, 0)}
    ended = envoy_counted(20, "v2") + calls(5, "v2", 0) + calls(15, "v2", 13)
    assert increment(streaming, ended).counts == {"v2": RequestCount(15, 15)}


def test_a_port_that_serves_http_too_counts_both() -> None:
    page = envoy_counted(100, "v2") + calls(20, "v2", 0) + calls(10, "v2", 13)
    assert increment("", page, grpc=frozenset()).counts == {"v2": RequestCount(100, 10)}
    two_ports = page + envoy_counted(40, "v2").replace("|9080|", "|80|")
    assert increment("", two_ports, grpc=frozenset()).counts == {"v2": RequestCount(140, 10)}
    assert increment("", two_ports).counts == {"v2": RequestCount(70, 10)}


@pytest.mark.parametrize(
    ("page", "hidden"),
    [
        (envoy_counted(3, "v2"), True),
        (envoy_counted(3, "v2").replace("|9080|", "|80|"), False),
        (envoy_counted(3, "v2") + counted(3, "v2"), False),
        (envoy_counted(3, "v2") + calls(3, "v1", 0), False),
        (counted(3, "v2", request_protocol="grpc"), True),
        (counted(3, "v2", request_protocol="grpc", grpc_response_status="0"), False),
        ("", False),
    ],
)
def test_calls_without_a_known_status_are_no_evidence(page: str, hidden: bool) -> None:
    reading = counter_deltas.client_reading("p", list(parse_samples(page)), NAMES, PORT)
    assert traffic.lacks_grpc_status(reading.counts) is hidden
    judged = increment("", page).counts
    assert not hidden or not judged
    if hidden:
        assert traffic.count_by_version(reading.counts).sent_by_version == {"v2": 3}, "but they were sent"
        by_http = Names(NAMES.hosts, NAMES.labels, grpc_failures=frozenset())
        assert increment("", page, grpc=frozenset(), names=by_http).counts == {"v2": RequestCount(3, 0)}


def test_servers_count_calls_too() -> None:
    inbound = 'cluster_name="inbound|50051||"'
    page = f'envoy_cluster_upstream_rq{{{inbound},response_code="200"}} 10\n'
    status = f"envoy_cluster_grpc_13{{{inbound}}} 4\nenvoy_cluster_grpc_0{{{inbound}}} 6\n"

    def read(text: str, **options: bool) -> dict[str, RequestCount]:
        now = counter_deltas.server_reading("p", list(parse_samples(text)), "v2", **options)
        return counter_deltas.grown(counter_deltas.server_reading("p", (), "v2"), now).counts

    assert read(page + status, only_grpc=True) == {"v2": RequestCount(10, 4)}
    assert read(page + status) == {"v2": RequestCount(10, 4)}
    assert read(page, only_grpc=True) == {}
    assert read(page) == {"v2": RequestCount(10, 0)}
