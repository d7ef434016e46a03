# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that Istio's metrics leave without an answer, a version, or an HTTP status that says what happened."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import sources, traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Key, Names
from ansible_collections.meshops.canary.plugins.module_utils.proxies import parse_samples
from support.istio_metrics import SERVICE, beside, counted, labels

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.analysis.sources import Increment

NAMES = Names(
    {SERVICE: None},
    {"v1": "v1", "v2": "v2"},
    {"shop/reviews-v1": "v1", "shop/reviews-v2": "v2"},
    {"v1": "v1", "v2": "v2"},
)
GOOD = counted(900, "v1") + counted(50, "v2")


def came(*lines: str, names: Names = NAMES) -> Increment:
    """Return what came since a proxy that had counted nothing was read."""
    now = sources.of_caller("shop/page", parse_samples("".join(lines)), names)
    return sources.grown(sources.of_caller("shop/page", (), names), now)


def test_failures_of_a_pod_that_did_not_answer_are_its_versions() -> None:
    seen = came(
        GOOD,
        counted(20, "v2", 503, "endpoint", response_flags="UF,URX"),
        counted(20, "v2", 504, "endpoint", response_flags="UT"),
        counted(10, "v2", 0, "endpoint", response_flags="DC"),
    )
    assert seen.tallies == {"v1": Tally(900, 0), "v2": Tally(90, 40)}
    assert seen.ended == {"v1": Tally(900, 0), "v2": Tally(100, 10)}


NOBODY = counted(50, "v2", 503, "nothing", response_flags="UH")


def test_envoys_own_counters_name_the_version_of_requests_sent_to_no_pod() -> None:
    """A canary without pods: no endpoint, so Istio knows nothing of it, but the cluster is the canary's."""
    assert came(GOOD, NOBODY).tallies[""] == Tally(50, 50)
    seen = came(GOOD, NOBODY, beside(900, "v1"), beside(50, "v2"), beside(50, "v2", 503))
    assert seen.tallies == {"v1": Tally(900, 0), "v2": Tally(100, 50)}


def test_both_vocabularies_are_of_the_same_requests_and_none_counts_twice() -> None:
    envoy = beside(900, "v1") + beside(50, "v2") + beside(7, "v2", 500)
    assert came(GOOD, envoy).tallies == {"v1": Tally(900, 0), "v2": Tally(50, 0)}
    mapped = counted(7, "v2", 503, "endpoint", response_flags="UF")
    assert came(GOOD, mapped, beside(7, "v2", 503)).tallies["v2"] == Tally(57, 7)
    both = came(GOOD, mapped, NOBODY, beside(57, "v2", 503))
    assert both.tallies == {"v1": Tally(900, 0), "v2": Tally(107, 57)}
    less = came(GOOD, NOBODY, beside(20, "v2", 503))
    assert less.tallies == {"v1": Tally(900, 0), "v2": Tally(70, 20), "": Tally(30, 30)}


def test_retries_do_not_make_more_failures_and_what_is_not_certain_is_not_moved() -> None:
    assert came(GOOD, NOBODY, beside(150, "v2", 503)).tallies == {"v1": Tally(900, 0), "v2": Tally(100, 50)}
    two = came(GOOD, NOBODY, beside(20, "v1", 503), beside(30, "v2", 503))
    assert (two.tally("v1"), two.tally("v2"), two.tally("")) == (Tally(920, 20), Tally(80, 30), Tally(0, 0))
    uncertain = came(GOOD, NOBODY, beside(100, "v1", 503), beside(30, "v2", 503))
    assert uncertain.tallies == {"v1": Tally(900, 0), "v2": Tally(50, 0), "": Tally(50, 50)}
    whole = came(GOOD, NOBODY, beside(50, "", 503))
    assert whole.tally("") == Tally(50, 50), "sent to the service as a whole"


@pytest.mark.parametrize(
    ("code", "own", "told"),
    [
        (200, {"grpc_response_status": "0"}, "200"),
        (200, {"grpc_response_status": "5"}, "200"),
        *((200, {"grpc_response_status": fault}, f"grpc {fault}") for fault in ("2", "4", "12", "13", "14", "15")),
        (200, {"grpc_response_status": "14", "response_flags": "UF,URX"}, "grpc 14"),
        (200, {"grpc_response_status": "2", "response_flags": "DC"}, "200"),
        (200, {"grpc_response_status": "2", "response_flags": "DR"}, "200"),
        (503, {"grpc_response_status": "14"}, "503"),
        (0, {"response_flags": "DC"}, "0"),
        (404, {}, "404"),
    ],
)
def test_how_a_request_ended(code: int, own: dict[str, str], told: str) -> None:
    assert traffic.code_of(labels("v2", code, **own)) == told


def test_a_grpc_status_that_is_the_servers_fault_is_an_error() -> None:
    faults = counted(30, "v2", grpc_response_status="13") + counted(20, "v2", grpc_response_status="5")
    assert came(counted(900, "v1", grpc_response_status="0"), faults).tallies == {
        "v1": Tally(900, 0),
        "v2": Tally(50, 30),
    }
    unreachable = counted(50, "v2", 200, "nothing", grpc_response_status="14", response_flags="UH")
    assert came(unreachable, faults, beside(50, "v2", 200), beside(80, "v2", 503)).tally("v2") == Tally(100, 80)


@pytest.mark.parametrize(
    ("page", "hidden"),
    [
        (beside(3, "v2"), True),
        (beside(3, "v2").replace("|9080|", "|80|"), False),
        (beside(3, "v2") + counted(3, "v2"), False),
        ('envoy_cluster_upstream_rq{cluster_name="inbound|50051||",response_code="200"} 3', True),
        ("", False),
    ],
)
def test_where_envoys_counters_are_all_there_is_no_grpc_status_is_seen(page: str, hidden: bool) -> None:
    assert traffic.hides_grpc(list(parse_samples(page)), {"9080"}) is hidden
    assert not traffic.hides_grpc(list(parse_samples(page)), ())


def test_who_gave_up_had_no_answer_but_was_dealt_a_version() -> None:
    counts = {Key("p", "v1", "200"): 90.0, Key("p", "v2", "0"): 9.0, Key("p", "v2", "503"): 1.0}
    tally = traffic.tally({**counts, Key("p", "", "0"): 2.0, Key("p", "", "503"): 3.0, Key("p", "", "200"): 4.0})
    assert (tally.requests, tally.errors["v2"]) == ({"v1": 90, "v2": 1, "": 7}, 1)
    assert tally.given_up == {"v2": 9, "": 2}
    assert tally.dealt == {"v1": 90, "v2": 10, "": 4}
    assert (tally.unanswered, tally.sent, tally.total) == (5, 109, 98)


def test_who_gave_up_is_told_once_where_envoy_tells_it_with_the_version() -> None:
    """Istio may not know whom a request was sent to that was given up before it was connected."""
    given_up = counted(10, "v2", 0, "nothing", response_flags="DC")
    assert came(GOOD, given_up).ended == {"v1": Tally(900, 0), "v2": Tally(50, 0), "": Tally(10, 10)}
    numbers = {"rq_total": 60, "rq_active": 0, "cx_destroy_local_with_active_rq": 10}
    cluster = f'cluster_name="outbound|9080|v2|{SERVICE}"'
    envoy = "".join(f"envoy_cluster_upstream_{name}{{{cluster}}} {value}\n" for name, value in numbers.items())
    assert came(GOOD, given_up, envoy).ended == {"v1": Tally(900, 0), "v2": Tally(60, 10)}


def test_servers_have_istios_metrics_too() -> None:
    served = counted(8, "v2", reporter="destination") + counted(
        2, "v2", grpc_response_status="13", reporter="destination"
    )
    envoy = 'envoy_cluster_upstream_rq{cluster_name="inbound|9080||",response_code="200"} 10\n'
    found = traffic.inbound("shop/reviews-v2-a", parse_samples(served + envoy + GOOD), "canary")
    assert {(key.version, key.code): number for key, number in found.items()} == {
        ("canary", "200"): 8,
        ("canary", "grpc 13"): 2,
    }
