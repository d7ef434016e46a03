# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that Istio's metrics leave without an answer, a version, or an HTTP status that says what happened."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Key, Names
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import parse_samples
from support.istio_metrics import SERVICE, counted, envoy_counted, labels

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment

NAMES = Names(
    {SERVICE: None},
    {"v1": "v1", "v2": "v2"},
    {"shop/reviews-v1": "v1", "shop/reviews-v2": "v2"},
    {"v1": "v1", "v2": "v2"},
)
GOOD = counted(900, "v1") + counted(50, "v2")


def answered(*lines: str, names: Names = NAMES) -> Increment:
    """Return what came since a proxy that had counted nothing was read."""
    now = counter_deltas.client_reading("shop/page", parse_samples("".join(lines)), names)
    return counter_deltas.grown(counter_deltas.client_reading("shop/page", (), names), now)


def test_failures_of_a_pod_that_did_not_answer_are_its_versions() -> None:
    seen = answered(
        GOOD,
        counted(20, "v2", 503, "endpoint", response_flags="UF,URX"),
        counted(20, "v2", 504, "endpoint", response_flags="UT"),
        counted(10, "v2", 0, "endpoint", response_flags="DC"),
    )
    assert seen.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(90, 40)}
    assert seen.ended == {"v1": RequestCount(900, 0), "v2": RequestCount(100, 10)}


NOBODY = counted(50, "v2", 503, "nothing", response_flags="UH")


def test_envoys_own_counters_name_the_version_of_requests_sent_to_no_pod() -> None:
    """A canary without pods: no endpoint, so Istio knows nothing of it, but the cluster is the canary's."""
    assert answered(GOOD, NOBODY).counts[""] == RequestCount(50, 50)
    seen = answered(GOOD, NOBODY, envoy_counted(900, "v1"), envoy_counted(50, "v2"), envoy_counted(50, "v2", 503))
    assert seen.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(100, 50)}


def test_requests_in_istios_and_envoys_counters_count_once() -> None:
    envoy = envoy_counted(900, "v1") + envoy_counted(50, "v2") + envoy_counted(7, "v2", 500)
    assert answered(GOOD, envoy).counts == {"v1": RequestCount(900, 0), "v2": RequestCount(50, 0)}
    mapped = counted(7, "v2", 503, "endpoint", response_flags="UF")
    assert answered(GOOD, mapped, envoy_counted(7, "v2", 503)).counts["v2"] == RequestCount(57, 7)
    both = answered(GOOD, mapped, NOBODY, envoy_counted(57, "v2", 503))
    assert both.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(107, 57)}
    less = answered(GOOD, NOBODY, envoy_counted(20, "v2", 503))
    assert less.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(70, 20), "": RequestCount(30, 30)}


def test_retries_do_not_make_more_failures_and_what_is_not_certain_is_not_moved() -> None:
    assert answered(GOOD, NOBODY, envoy_counted(150, "v2", 503)).counts == {
        "v1": RequestCount(900, 0),
        "v2": RequestCount(100, 50),
    }
    two = answered(GOOD, NOBODY, envoy_counted(20, "v1", 503), envoy_counted(30, "v2", 503))
    assert (two.count_of("v1"), two.count_of("v2"), two.count_of("")) == (
        RequestCount(920, 20),
        RequestCount(80, 30),
        RequestCount(0, 0),
    )
    uncertain = answered(GOOD, NOBODY, envoy_counted(100, "v1", 503), envoy_counted(30, "v2", 503))
    assert uncertain.counts == {"v1": RequestCount(900, 0), "v2": RequestCount(50, 0), "": RequestCount(50, 50)}
    whole = answered(GOOD, NOBODY, envoy_counted(50, "", 503))
    assert whole.count_of("") == RequestCount(50, 50), "sent to the service as a whole"


@pytest.mark.parametrize(
    ("code", "own", "status"),
    [
        (200, {"grpc_response_status": "0"}, "200"),
        (200, {"grpc_response_status": "5"}, "grpc 5"),
        (200, {"grpc_response_status": "1", "response_flags": "DC"}, "200"),
        (0, {"grpc_response_status": "1", "response_flags": "DC"}, "0"),
        (404, {"grpc_response_status": "5"}, "404"),
        *(
            (200, {"grpc_response_status": fault}, f"failed grpc {fault}")
            for fault in ("2", "4", "12", "13", "14", "15")
        ),
        (200, {"grpc_response_status": "14", "response_flags": "UF,URX"}, "failed grpc 14"),
        (200, {"grpc_response_status": "8"}, "grpc 8"),
        (200, {"request_protocol": "grpc"}, "grpc without status"),
        (404, {"request_protocol": "grpc"}, "404"),
        (200, {"grpc_response_status": "2", "response_flags": "DC"}, "200"),
        (200, {"grpc_response_status": "2", "response_flags": "DR"}, "200"),
        (503, {"grpc_response_status": "14"}, "503"),
        (0, {"response_flags": "DC"}, "0"),
        (404, {}, "404"),
    ],
)
def test_how_a_request_ended(code: int, own: dict[str, str], status: str) -> None:
    assert traffic.code_of(labels("v2", code, **own)) == status


def test_a_grpc_status_that_is_the_servers_fault_is_an_error() -> None:
    faults = counted(30, "v2", grpc_response_status="13") + counted(20, "v2", grpc_response_status="5")
    assert answered(counted(900, "v1", grpc_response_status="0"), faults).counts == {
        "v1": RequestCount(900, 0),
        "v2": RequestCount(50, 30),
    }
    unreachable = counted(50, "v2", 200, "nothing", grpc_response_status="14", response_flags="UH")
    by_envoy = (envoy_counted(50, "v2", 200), envoy_counted(80, "v2", 503))
    assert answered(unreachable, faults, *by_envoy).count_of("v2") == RequestCount(100, 80)


def test_a_canceled_request_has_a_version_but_no_answer() -> None:
    counts = {Key("p", "v1", "200"): 90.0, Key("p", "v2", "0"): 9.0, Key("p", "v2", "503"): 1.0}
    tally = traffic.count_by_version(
        {**counts, Key("p", "", "0"): 2.0, Key("p", "", "503"): 3.0, Key("p", "", "200"): 4.0}
    )
    assert (tally.requests, tally.errors["v2"]) == ({"v1": 90, "v2": 1, "": 7}, 1)
    assert tally.canceled == {"v2": 9, "": 2}
    assert tally.sent_by_version == {"v1": 90, "v2": 10, "": 4}
    assert (tally.unattributed_failures, tally.sent, tally.total) == (5, 109, 98)


def test_who_gave_up_is_told_once_where_envoy_tells_it_with_the_version() -> None:
    """Istio may not know whom a request was sent to that was given up before it was connected."""
    canceled = counted(10, "v2", 0, "nothing", response_flags="DC")
    assert answered(GOOD, canceled).ended == {
        "v1": RequestCount(900, 0),
        "v2": RequestCount(50, 0),
        "": RequestCount(10, 10),
    }
    numbers = {"rq_total": 60, "rq_active": 0, "cx_destroy_local_with_active_rq": 10}
    cluster = f'cluster_name="outbound|9080|v2|{SERVICE}"'
    envoy = "".join(f"envoy_cluster_upstream_{name}{{{cluster}}} {value}\n" for name, value in numbers.items())
    assert answered(GOOD, canceled, envoy).ended == {"v1": RequestCount(900, 0), "v2": RequestCount(60, 10)}


def test_servers_have_istios_metrics_too() -> None:
    served = counted(8, "v2", reporter="destination") + counted(
        2, "v2", grpc_response_status="13", reporter="destination"
    )
    envoy = 'envoy_cluster_upstream_rq{cluster_name="inbound|9080||",response_code="200"} 10\n'
    found = traffic.server_counters("shop/reviews-v2-a", parse_samples(served + envoy + GOOD), "canary")
    assert {(key.version, key.code): number for key, number in found.items()} == {
        ("canary", "200"): 8,
        ("canary", "failed grpc 13"): 2,
    }
