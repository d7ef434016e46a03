# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What parents say of a written HTTPRoute is read until it is of the new generation."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, NotAccepted
from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Change
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.writing import apply, route_status

PERMITTED = ("ResolvedRefs", "True", "ResolvedRefs")
DENIED = ("ResolvedRefs", "False", "RefNotPermitted")
MISSING = ("ResolvedRefs", "False", "BackendNotFound")
UNACCEPTED = ("Accepted", "False", "NotAllowedByListeners")
Said: t.TypeAlias = "tuple[str, str, str] | None"


def state(generation: int, seen: int, said: Said) -> dict[str, t.Any]:
    conditions = []
    if said:
        kind, status, reason = said
        conditions = [{"type": kind, "status": status, "reason": reason, "observedGeneration": seen}]
    return {
        "metadata": {"generation": generation, "name": "shop", "namespace": "ingress"},
        "status": {"parents": [{"parentRef": {"name": "front"}, "conditions": conditions}]},
    }


class FakeCluster:
    """Plays an API server with one HTTPRoute, whose status follows at each reading."""

    def __init__(self, *answers: dict[str, t.Any] | ApiError) -> None:
        self.answers = list(answers)
        self.read = 0

    def get(self, *_which: t.Any) -> dict[str, t.Any]:
        self.read += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ApiError):
            raise answer
        return answer


def change(before: Said) -> Change:
    old = state(1, 1, before)
    return Change("gateway.networking.k8s.io/v1", "HTTPRoute", "ingress", "shop", old, {**old, "spec": {}})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_status, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(route_status, "SECONDS", 0.05)


@pytest.mark.parametrize(
    ("before", "answers", "reasons"),
    [
        (PERMITTED, [state(2, 2, PERMITTED)], []),
        (PERMITTED, [state(2, 1, PERMITTED), state(2, 2, DENIED)], ["RefNotPermitted"]),
        (DENIED, [state(2, 2, DENIED)], []),  # it answered 500 before
        (MISSING, [state(2, 2, DENIED)], ["RefNotPermitted"]),
        (PERMITTED, [state(2, 2, UNACCEPTED)], ["NotAllowedByListeners"]),
    ],
)
def test_what_is_new_and_of_this_generation_counts(before: Said, answers: list[t.Any], reasons: list[str]) -> None:
    notes: list[str] = []
    found = route_status.new_problems(t.cast("t.Any", FakeCluster(*answers)), [change(before)], notes)
    assert ([problem.reason for _change, problem in found], notes) == (reasons, [])


def test_a_status_that_does_not_follow_is_no_answer() -> None:
    notes: list[str] = []
    cluster = FakeCluster(state(2, 1, PERMITTED))
    assert route_status.new_problems(t.cast("t.Any", cluster), [change(PERMITTED)], notes) == []
    assert notes == ["No parent of HTTPRoute ingress/shop said within 0.05 s whether it accepts the change."]
    assert cluster.read > 1


def test_a_status_that_may_not_be_read_is_noted() -> None:
    notes: list[str] = []
    cluster = FakeCluster(ApiError("no right to get httproutes", 403))
    assert route_status.new_problems(t.cast("t.Any", cluster), [change(PERMITTED)], notes) == []
    assert notes == ["The status of HTTPRoute ingress/shop could not be read: no right to get httproutes"]


def test_no_controller_is_waited_for_that_never_spoke() -> None:
    cluster = FakeCluster(state(2, 0, None))
    assert route_status.new_problems(t.cast("t.Any", cluster), [change(None)], []) == []
    assert cluster.read == 0


@pytest.mark.parametrize(
    ("said", "forced", "fails"),
    [(DENIED, False, True), (DENIED, True, False), (UNACCEPTED, False, False), (PERMITTED, False, False)],
)
def test_only_what_answers_500_is_undone(said: Said, forced: bool, fails: bool) -> None:
    params = {"wait": True, "force": ["BACKEND_NOT_PERMITTED"] if forced else []}
    cluster = t.cast("t.Any", FakeCluster(state(2, 2, said)))
    service = ServiceRef("web", "shop")
    one = apply.Application(cluster, service, t.cast("t.Any", None), params, lambda _said: None, (), None)
    if fails:
        with pytest.raises(NotAccepted, match="Gateway front says ResolvedRefs=False RefNotPermitted"):
            one._must_be_accepted([change(PERMITTED)])
        return
    one._must_be_accepted([change(PERMITTED)])
    assert len(one._outcome._warnings) == (said is not None and said[1] == "False")
