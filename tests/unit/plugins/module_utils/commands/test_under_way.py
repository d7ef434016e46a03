# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the requests under way are read: with the counters, or on Envoy's page of endpoints where Istio hides those."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.flight import Flight
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from support.metered import HOST, Mesh, source


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh().instead(monkeypatch)


def under_way(version: str, sent: int, waiting: int, address: str = "10.0.0.5:9080") -> str:
    """Return what Envoy's page of clusters says of one endpoint."""
    place = f"outbound|9080|{version}|{HOST}::{address}"
    return f"{place}::cx_active::1\n{place}::rq_active::{waiting}\n{place}::rq_total::{sent}\n{place}::weight::1\n"


def test_what_is_under_way_is_read_with_the_counters_where_they_show_it(mesh: Mesh) -> None:
    cluster = f'cluster_name="outbound|9080|v2|{HOST}"'

    def shows(sent: int, waiting: int, reset: int, timeout: int) -> str:
        numbers = {"rq_total": sent, "rq_active": waiting, "rq_tx_reset": 2, "rq_timeout": timeout}
        numbers["cx_destroy_local_with_active_rq"] = reset - 2
        return "\n".join(f"envoy_cluster_upstream_{name}{{{cluster}}} {value}" for name, value in numbers.items())

    mesh.says["page"] = shows(100, 1, 5, 5)
    one = source()
    one.begin(None)
    mesh.says["page"] = shows(130, 11, 9, 6)
    came = one.look(None)
    assert came.flights == {("shop/page", "v2"): (Flight(100, 1, 0), Flight(130, 11, 3))}
    assert came.ended == {"v2": Tally(20, 3)}
    assert mesh.opened == []


def test_a_caller_whose_counters_are_hidden_is_asked_for_its_endpoints_at_every_other_look(mesh: Mesh) -> None:
    """Istio shows its own metrics alone unless told otherwise; a gateway that does not call is left alone."""
    mesh.says["page"] = "\n".join(
        f'istio_requests_total{{reporter="source",destination_service="{HOST}",destination_version="1.16.1",'
        f'response_code="{code}"}} {number}'
        for code, number in (("200", 50), ("0", 4))
    )
    mesh.pages["page"] = under_way("v2", 60, 2) + under_way("v1", 400, 1, "[fd00::1]:9080")
    one = source()
    one.begin(None)
    mesh.pages["page"] = (
        under_way("v2", 90, 32) + under_way("v1", 700, 0, "[fd00::1]:9080") + under_way("v2", 5, 5, "new")
    )
    assert one.look(None).flights == {}
    assert one.look(None).flights == {
        ("shop/page 10.0.0.5:9080", "v2"): (Flight(60, 2), Flight(90, 32)),
        ("shop/page [fd00::1]:9080", "v1"): (Flight(400, 1), Flight(700, 0)),
    }
    assert mesh.opened == ["page", "page"]


def test_callers_that_gave_up_have_the_code_zero_in_istios_own_metrics(mesh: Mesh) -> None:
    def counted(good: int, gone: int) -> str:
        labels = f'reporter="source",destination_service="{HOST}",destination_version="1.16.1"'
        return "\n".join(
            f'istio_requests_total{{{labels},response_code="{code}"}} {number}'
            for code, number in (("200", good), ("0", gone))
        )

    mesh.says["page"] = counted(50, 4)
    one = source()
    one.begin(None)
    mesh.says["page"] = counted(60, 9)
    assert one.look(None).ended == {"v2": Tally(15, 5)}


@pytest.mark.parametrize(
    ("page", "times"),
    [(ApiError("Forbidden.", 403), 1), (ApiError("No answer.", None), 3), (under_way("v2", 1, 0) * 20_000, 1)],
)
def test_a_caller_that_cannot_tell_or_tells_too_much_is_noted(mesh: Mesh, page: str | ApiError, times: int) -> None:
    mesh.count("page", "v2", 10)
    mesh.pages["page"] = page
    one = source()
    one.begin(None)
    for _look in range(4):
        one.look(None)
    assert len([note for note in one.notes if note.startswith("Requests that hang are not seen everywhere: ")]) == 1
    assert mesh.opened.count("page") == times
