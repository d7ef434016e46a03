# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callers that may not be read, as a gateway of another namespace: the pods they call know their requests."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.commands import observe, serving
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.proxies import Proxy
from support import istio_metrics, reviews
from support.metered import GATE, PAGE, Mesh, Pods, pod, source

REFUSED = ApiError("Forbidden.", 403)
PODS = Pods(pod("a", "v1"), pod("b", "v2"))


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    mesh = Mesh().instead(monkeypatch)
    for name in ("a", "b"):
        mesh.count(name, "", 1000, side="inbound")
    return mesh


def begun(services: tuple[dict[str, object], ...] = ()) -> observe.ProxySource:
    one = source(PODS, services)
    one.begin(None)
    return one


def silent(one: observe.ProxySource, looks: int = observe.SILENT_LOOKS) -> None:
    for _look in range(looks):
        assert one.look(None).tallies == {}


@pytest.mark.parametrize("listed", [True, False])
def test_if_no_caller_that_can_be_read_calls_the_pods_tell_whoever_does(mesh: Mesh, listed: bool) -> None:
    """Listed: the gateway is known but refuses. Not listed: without a right to ask istiod only sidecars are known."""
    if listed:
        mesh.says["gate"] = REFUSED
    else:
        mesh.callers, mesh.missing = [PAGE], ["istiod could not be asked which proxies there are: Forbidden."]
    one = begun()
    silent(one)
    mesh.count("a", "", 1090, side="inbound")
    mesh.count("b", "", 1010, side="inbound")
    assert one.look(None).tallies == {"v1": Tally(90, 0), "v2": Tally(10, 0)}
    assert serving.INSTEAD in one.notes
    assert one.callers == 0
    mesh.asked.clear()
    one.look(None)
    assert mesh.asked == ["a", "b"], "one reading of each, and none of the callers any more"


def test_a_caller_that_counts_is_believed(mesh: Mesh) -> None:
    mesh.says["gate"] = REFUSED
    mesh.count("page", "v1", 7)
    one = begun()
    mesh.count("page", "v1", 8)
    assert one.look(None).tallies == {"v1": Tally(1, 0)}
    silent(one, 3 * observe.SILENT_LOOKS)
    assert "a" not in mesh.asked


def test_an_idle_service_whose_callers_are_all_known_is_idle(mesh: Mesh) -> None:
    silent(begun(), 3 * observe.SILENT_LOOKS)
    assert "a" not in mesh.asked


def test_if_all_callers_refuse_the_pods_tell_from_the_beginning(mesh: Mesh) -> None:
    mesh.says = {**mesh.says, "page": REFUSED, "gate": REFUSED}
    one = begun()
    mesh.count("b", "", 1004, side="inbound")
    assert one.look(None).tallies == {"v2": Tally(4, 0)}


def test_what_a_pod_had_served_before_is_not_new_although_it_was_read_as_a_caller(mesh: Mesh) -> None:
    mesh.callers = [Proxy("shop", "a"), Proxy("shop", "b"), GATE]
    mesh.says["gate"] = REFUSED
    one = begun()
    silent(one, observe.SILENT_LOOKS + 3)
    mesh.count("b", "", 1001, side="inbound")
    assert one.look(None).tallies == {"v2": Tally(1, 0)}


def test_a_caller_that_was_never_read_does_not_make_a_look_fail(mesh: Mesh) -> None:
    """Between two full rounds it alone is asked again; those that can be read have said that they do not call."""
    mesh.says["gate"] = ApiError("It did not answer.", 503)
    one = begun()
    silent(one, observe.ALL_EVERY)
    assert one.notes == ["Not every proxy answered at every look; the first is istio-system/gate: It did not answer."]


GRPC = reviews.service("shop", name="grpc-web")


@pytest.mark.parametrize(("service", "noted"), [(GRPC, True), (reviews.service("shop"), False)])
def test_where_the_grpc_status_is_not_seen_a_note_says_so(mesh: Mesh, service: dict[str, object], noted: bool) -> None:
    mesh.count("page", "v2", 1)
    assert (serving.NO_GRPC in begun((service,)).notes) is noted
    mesh.says["page"] = istio_metrics.counted(5, "v2", grpc_response_status="0")
    assert serving.NO_GRPC not in begun((service,)).notes
    mesh.callers = []
    assert (serving.NO_GRPC in begun((service,)).notes) is noted
