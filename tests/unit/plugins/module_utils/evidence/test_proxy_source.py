# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an analysis makes of proxies that do not answer; how real ones do is in tests/mesh."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import proxy_source
from support.metered import Mesh, Pods, pod, source


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh().install(monkeypatch)


def test_callers_are_summed(mesh: Mesh) -> None:
    mesh.count("page", "v1", 100)
    mesh.count("gate", "v1", 7)
    one = source()
    one.begin(None)
    mesh.count("page", "v1", 130)
    mesh.count("gate", "v2", 4, 503)
    assert one.measure(None).counts == {"v1": RequestCount(30, 0), "v2": RequestCount(4, 4)}
    assert one.measure(None).counts == {}
    assert one.callers == 2


def test_between_full_rounds_only_callers_with_requests_are_read(mesh: Mesh) -> None:
    mesh.count("page", "v1", 1)
    one = source()
    one.begin(None)
    mesh.counters_read.clear()
    for _measurement in range(proxy_source.ALL_CALLERS_EVERY):
        one.measure(None)
    assert mesh.counters_read.count("page") == proxy_source.ALL_CALLERS_EVERY
    assert mesh.counters_read.count("gate") == 1


def test_a_proxy_that_does_not_answer_is_noted_and_counted_later(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    mesh.count("gate", "v1", 10)
    one = source()
    one.begin(None)
    mesh.counter_pages["gate"] = ApiError("It did not answer.", 503)
    mesh.count("page", "v1", 15)
    assert one.measure(None).count_of("v1") == RequestCount(5, 0)
    assert one.notes == [
        "Not every proxy answered at every measurement; the first is istio-system/gate: It did not answer."
    ]
    mesh.count("gate", "v1", 17)
    assert one.measure(None).count_of("v1") == RequestCount(7, 0)


def test_if_no_proxy_answers_the_measurement_fails(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    one = source()
    one.begin(None)
    mesh.counter_pages = dict.fromkeys(mesh.counter_pages, ApiError("Forbidden.", 403))
    with pytest.raises(ApiError, match="Forbidden"):
        one.measure(None)


def test_without_callers_the_versions_own_proxies_are_read(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b"):
        mesh.count(name, "", 0, side="inbound")
    one = source(Pods(pod("a", "v1"), pod("b", "v2")))
    one.begin(None)
    mesh.count("a", "", 90, side="inbound")
    mesh.count("b", "", 10, 500, side="inbound")
    assert one.measure(None).counts == {"v1": RequestCount(90, 0), "v2": RequestCount(10, 10)}
    assert one.notes[0].startswith("No caller's proxy can be read")


def test_a_pod_that_comes_later_is_read_too(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b", "c"):
        mesh.count(name, "", 0, side="inbound")
    shop = Pods(pod("a", "v1"))
    one = source(shop)
    one.begin(None)
    shop.pods = (pod("a", "v1"), pod("c", "v2"))
    for _measurement in range(proxy_source.ALL_CALLERS_EVERY):
        one.measure(None)
    mesh.count("c", "", 8, 500, side="inbound")
    assert one.measure(None).counts == {"v2": RequestCount(8, 8)}
    shop.broken = [ApiError("Forbidden.", 403)]
    for number in range(proxy_source.ALL_CALLERS_EVERY):
        mesh.count("c", "", 9 + number, 500, side="inbound")
        assert one.measure(None).counts == {"v2": RequestCount(1, 1)}
    assert "The pods could not be listed again: Forbidden." in one.notes
