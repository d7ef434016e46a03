# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make before break: what must be known of the proxies before a version first gets requests."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import NotConverged
from ansible_collections.meshops.canary.plugins.module_utils.mesh.convergence import Convergence
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from ansible_collections.meshops.canary.plugins.module_utils.writing import apply
from support import reviews as rv
from support.route_operations import REVIEWS

PARAMS = {"wait": True, "force": [], "wait_timeout": 1.0, "return_object": False}
BEHIND = Convergence("proxies", converged=False, proxies=3, checked=2, pending=["shop/one: no cluster of v3 yet"])


class Run:
    """One writing of weights, with the proxies' answer played. asked: for which places; written: which objects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seen: Convergence) -> None:
        self.calls: list[t.Any] = []
        self.written: list[str] = []

        def ask(*given: t.Any) -> Convergence:
            self.calls.append(sorted(given[6]))
            return seen

        monkeypatch.setattr(apply, "wait_for_endpoints", ask)
        monkeypatch.setattr(apply.Writer, "write", lambda _self, change: self.written.append(change.name))

    def weights(self, weights: dict[str, int], **params: t.Any) -> None:
        rules = (rv.destination_rule(versions=("v1", "v2", "v3")),)
        snapshot = Snapshot(virtual_services=(rv.virtual_service(),), destination_rules=rules)
        planned = plan.plan(snapshot, REVIEWS, intents.SetWeights(weights))
        cluster, given = t.cast("t.Any", None), {**PARAMS, **params}
        one = apply.Application(cluster, REVIEWS, lambda _snapshot: planned, given, lambda _said: None, (), None)
        one._write_in_order(snapshot, planned)


def test_a_version_nobody_can_reach_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, BEHIND)
    with pytest.raises(NotConverged, match=r"no cluster of v3 yet\. Nothing was written"):
        run.weights({"v1": 90, "v3": 10})
    assert (run.calls, run.written) == ([[(REVIEWS.fqdn, "v3")]], [])


@pytest.mark.parametrize(
    ("weights", "params"),
    [
        ({"v1": 50, "v2": 50}, {}),
        ({"v1": 90, "v3": 10}, {"wait": False}),
        ({"v3": 100}, {"force": ["ENDPOINT_UNKNOWN_TO_PROXIES"]}),
    ],
)
def test_it_is_asked_only_where_it_matters(
    monkeypatch: pytest.MonkeyPatch, weights: dict[str, int], params: dict[str, t.Any]
) -> None:
    run = Run(monkeypatch, BEHIND)
    run.weights(weights, **params)
    assert (run.calls, run.written) == ([], ["reviews"])


def test_who_forces_what_the_pods_say_keeps_the_check_by_the_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, BEHIND)
    with pytest.raises(NotConverged, match=r"force: \[ENDPOINT_UNKNOWN_TO_PROXIES\]"):
        run.weights({"v1": 90, "v3": 10}, force=["SUBSET_NOT_READY"])
    assert run.written == []


def test_proxies_that_cannot_be_read_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, Convergence("fixed_delay", converged=None))
    run.weights({"v1": 90, "v3": 10})
    assert run.written == ["reviews"]


PAST = Convergence("proxies", converged=False, proxies=3, pending=["shop/one: past it"], without_effect=True)


@pytest.mark.parametrize("forced", [True, False])
def test_routes_without_effect_are_no_success(monkeypatch: pytest.MonkeyPatch, forced: bool) -> None:
    monkeypatch.setattr(apply, "wait_for_proxies", lambda *_given: PAST)
    params = {**PARAMS, "force": ["ENDPOINT_CHOSEN_BY_CALLER"] if forced else []}
    snapshot = Snapshot(virtual_services=(rv.virtual_service(),), destination_rules=(rv.destination_rule(),))
    planned = plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50}))
    cluster = t.cast("t.Any", None)
    one = apply.Application(cluster, REVIEWS, lambda _snapshot: planned, params, lambda _said: None, (), None)
    if forced:
        one._must_converge(snapshot, planned, planned.changes)
        assert (
            "1 of 3 proxies have the routes of reviews in bookinfo, which have no effect" in one._outcome._warnings[0]
        )
        assert one._outcome._sentence(planned, one._writer, changed=True).endswith("(without effect at 1 of 3 proxies)")
        return
    with pytest.raises(NotConverged, match=r"which have no effect there: shop/one: past it\. The change stays written"):
        one._must_converge(snapshot, planned, planned.changes)
