# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the requests under way are read: with the counters, or on Envoy's page of endpoints where Istio hides those."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.in_flight import InFlight
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from support.metered import HOST, Mesh, source


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh().install(monkeypatch)


def reads_in_flight(version: str, sent: int, waiting: int, address: str = "10.0.0.5:9080") -> str:
    """Return what Envoy's page of clusters says of one endpoint."""
    place = f"outbound|9080|{version}|{HOST}::{address}"
    return f"{place}::cx_active::1\n{place}::rq_active::{waiting}\n{place}::rq_total::{sent}\n{place}::weight::1\n"


def test_requests_in_flight_are_read_with_the_counters_if_shown(mesh: Mesh) -> None:
    cluster = f'cluster_name="outbound|9080|v2|{HOST}"'

    def shows(sent: int, waiting: int, reset: int, timeout: int) -> str:
        numbers = {"rq_total": sent, "rq_active": waiting, "rq_tx_reset": 2, "rq_timeout": timeout}
        numbers["cx_destroy_local_with_active_rq"] = reset - 2
        return "\n".join(f"envoy_cluster_upstream_{name}{{{cluster}}} {value}" for name, value in numbers.items())

    mesh.counter_pages["page"] = shows(100, 1, 5, 5)
    one = source()
    one.begin(None)
    mesh.counter_pages["page"] = shows(130, 11, 9, 6)
    came = one.measure(None)
    assert came.in_flight == {("shop/page", "v2"): (InFlight(100, 1, 0), InFlight(130, 11, 3))}
    assert came.ended == {"v2": RequestCount(20, 3)}
    assert mesh.endpoints_read == []


def test_endpoints_of_a_caller_with_hidden_counters_are_read_at_every_other_measurement(mesh: Mesh) -> None:
    """Istio shows its own metrics alone unless told otherwise; a gateway that does not call is left alone."""
    mesh.counter_pages["page"] = "\n".join(
        f'istio_requests_total{{reporter="source",destination_service="{HOST}",destination_version="1.16.1",'
        f'response_code="{code}"}} {number}'
        for code, number in (("200", 50), ("0", 4))
    )
    mesh.endpoint_pages["page"] = reads_in_flight("v2", 60, 2) + reads_in_flight("v1", 400, 1, "[fd00::1]:9080")
    one = source()
    one.begin(None)
    mesh.endpoint_pages["page"] = (
        reads_in_flight("v2", 90, 32)
        + reads_in_flight("v1", 700, 0, "[fd00::1]:9080")
        + reads_in_flight("v2", 5, 5, "new")
    )
    assert one.measure(None).in_flight == {}
    assert one.measure(None).in_flight == {
        ("shop/page 10.0.0.5:9080", "v2"): (InFlight(60, 2), InFlight(90, 32)),
        ("shop/page [fd00::1]:9080", "v1"): (InFlight(400, 1), InFlight(700, 0)),
    }
    assert mesh.endpoints_read == ["page", "page"]


def test_canceled_requests_have_code_zero_in_istios_metrics(mesh: Mesh) -> None:
    def counted(good: int, gone: int) -> str:
        labels = f'reporter="source",destination_service="{HOST}",destination_version="1.16.1"'
        return "\n".join(
            f'istio_requests_total{{{labels},response_code="{code}"}} {number}'
            for code, number in (("200", good), ("0", gone))
        )

    mesh.counter_pages["page"] = counted(50, 4)
    one = source()
    one.begin(None)
    mesh.counter_pages["page"] = counted(60, 9)
    assert one.measure(None).ended == {"v2": RequestCount(15, 5)}


@pytest.mark.parametrize(
    ("page", "times"),
    [(ApiError("Forbidden.", 403), 1), (ApiError("No answer.", None), 3), (reads_in_flight("v2", 1, 0) * 20_000, 1)],
)
def test_a_caller_without_requests_in_flight_or_with_a_large_page_is_noted(
    mesh: Mesh, page: str | ApiError, times: int
) -> None:
    mesh.count("page", "v2", 10)
    mesh.endpoint_pages["page"] = page
    one = source()
    one.begin(None)
    for _measurement in range(4):
        one.measure(None)
    assert len([note for note in one.notes if note.startswith("Stalled requests are not seen everywhere: ")]) == 1
    assert mesh.endpoints_read.count("page") == times
