# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make before break: what must be known of the proxies before a version first gets requests."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import apply
from ansible_collections.meshops.canary.plugins.module_utils.commands.convergence import Convergence
from ansible_collections.meshops.canary.plugins.module_utils.errors import NotConverged
from ansible_collections.meshops.canary.plugins.module_utils.routes import plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from support import reviews as rv
from support.route_operations import REVIEWS

PARAMS = {"wait": True, "force": [], "wait_timeout": 1.0, "return_object": False}
BEHIND = Convergence("proxies", converged=False, proxies=3, checked=2, pending=["shop/one: no cluster of v3 yet"])


class Run:
    """One writing of weights, with the proxies' answer played. asked: for which places; written: which objects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seen: Convergence) -> None:
        self.asked: list[t.Any] = []
        self.written: list[str] = []

        def ask(*given: t.Any) -> Convergence:
            self.asked.append(sorted(given[5]))
            return seen

        monkeypatch.setattr(apply, "wait_for_endpoints", ask)
        monkeypatch.setattr(apply.Writer, "write", lambda _self, change: self.written.append(change.name))

    def weights(self, weights: dict[str, int], **params: t.Any) -> None:
        rules = (rv.destination_rule(versions=("v1", "v2", "v3")),)
        snapshot = Snapshot(virtual_services=(rv.virtual_service(),), destination_rules=rules)
        planned = plan.plan_weights(snapshot, REVIEWS, weights)
        cluster, given = t.cast("t.Any", None), {**PARAMS, **params}
        one = apply.Application(cluster, REVIEWS, lambda _snapshot: planned, given, lambda _said: None, (), None)
        one._write_in_order(snapshot, planned)


def test_a_version_nobody_can_reach_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, BEHIND)
    with pytest.raises(NotConverged, match=r"no cluster of v3 yet\. Nothing was written"):
        run.weights({"v1": 90, "v3": 10})
    assert (run.asked, run.written) == ([[(REVIEWS.fqdn, "v3")]], [])


@pytest.mark.parametrize(
    ("weights", "params"),
    [
        ({"v1": 50, "v2": 50}, {}),
        ({"v1": 90, "v3": 10}, {"wait": False}),
        ({"v3": 100}, {"force": ["SUBSET_NOT_READY"]}),
    ],
)
def test_it_is_asked_only_where_it_matters(
    monkeypatch: pytest.MonkeyPatch, weights: dict[str, int], params: dict[str, t.Any]
) -> None:
    run = Run(monkeypatch, BEHIND)
    run.weights(weights, **params)
    assert (run.asked, run.written) == ([], ["reviews"])


def test_proxies_that_cannot_be_read_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, Convergence("settle", converged=None))
    run.weights({"v1": 90, "v3": 10})
    assert run.written == ["reviews"]
