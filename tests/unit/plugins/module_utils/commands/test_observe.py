# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an analysis makes of proxies that do not answer; how real ones do is in tests/mesh."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.commands import observe
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from support.metered import Mesh, Pods, pod, source


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh().instead(monkeypatch)


def test_callers_are_added_up(mesh: Mesh) -> None:
    mesh.count("page", "v1", 100)
    mesh.count("gate", "v1", 7)
    one = source()
    one.begin(None)
    mesh.count("page", "v1", 130)
    mesh.count("gate", "v2", 4, 503)
    assert one.look(None).tallies == {"v1": Tally(30, 0), "v2": Tally(4, 4)}
    assert one.look(None).tallies == {}
    assert one.callers == 2


def test_between_full_rounds_only_those_who_call_are_asked(mesh: Mesh) -> None:
    mesh.count("page", "v1", 1)
    one = source()
    one.begin(None)
    mesh.asked.clear()
    for _look in range(observe.ALL_EVERY):
        one.look(None)
    assert mesh.asked.count("page") == observe.ALL_EVERY
    assert mesh.asked.count("gate") == 1


def test_who_does_not_answer_is_noted_and_missed_only_for_a_while(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    mesh.count("gate", "v1", 10)
    one = source()
    one.begin(None)
    mesh.says["gate"] = ApiError("It did not answer.", 503)
    mesh.count("page", "v1", 15)
    assert one.look(None).tally("v1") == Tally(5, 0)
    assert one.notes == ["Not every proxy answered at every look; the first is istio-system/gate: It did not answer."]
    mesh.count("gate", "v1", 17)
    assert one.look(None).tally("v1") == Tally(7, 0)


def test_if_nobody_answers_the_look_fails(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    one = source()
    one.begin(None)
    mesh.says = dict.fromkeys(mesh.says, ApiError("Forbidden.", 403))
    with pytest.raises(ApiError, match="Forbidden"):
        one.look(None)


def test_without_callers_the_versions_own_proxies_tell(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b"):
        mesh.count(name, "", 0, side="inbound")
    one = source(Pods(pod("a", "v1"), pod("b", "v2")))
    one.begin(None)
    mesh.count("a", "", 90, side="inbound")
    mesh.count("b", "", 10, 500, side="inbound")
    assert one.look(None).tallies == {"v1": Tally(90, 0), "v2": Tally(10, 10)}
    assert one.notes[0].startswith("No caller's proxy can be read")


def test_a_pod_that_comes_later_is_read_too(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b", "c"):
        mesh.count(name, "", 0, side="inbound")
    shop = Pods(pod("a", "v1"))
    one = source(shop)
    one.begin(None)
    shop.pods = (pod("a", "v1"), pod("c", "v2"))
    for _look in range(observe.ALL_EVERY):
        one.look(None)
    mesh.count("c", "", 8, 500, side="inbound")
    assert one.look(None).tallies == {"v2": Tally(8, 8)}
    shop.broken = [ApiError("Forbidden.", 403)]
    for number in range(observe.ALL_EVERY):
        mesh.count("c", "", 9 + number, 500, side="inbound")
        assert one.look(None).tallies == {"v2": Tally(1, 1)}
    assert "The pods could not be listed again: Forbidden." in one.notes
