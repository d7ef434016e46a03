# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A share of a total of pods: never fewer than before, all given back in the end."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError, InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.replicas import pod_ratio, replica_canary
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_pair import Wanted
from ansible_collections.meshops.canary.plugins.module_utils.replicas.pod_total import PODS_BEFORE
from support.deployments import SHOP, STABLE, deployment, snapshot

Object = dict[str, t.Any]


def options(share: float, total: int | None, **more: t.Any) -> Wanted:
    return Wanted(image="shop:2", share=share, total=total, **more)


def after(there: tuple[Object, ...], wanted: Wanted) -> tuple[tuple[Object, ...], tuple[int, int]]:
    """Return the Deployments as a task leaves them, planning until there is nothing to do, and the fewest pods."""
    now, fewest = {one["metadata"]["name"]: one for one in there}, []
    for _round in range(3):
        plan = replica_canary.plan_present(snapshot(*now.values()), SHOP, wanted)
        for change in plan.changes:
            assert change.after is not None
            now[change.name] = change.after
            fewest.append(sum(one["spec"]["replicas"] for one in now.values()))
        if not plan.changes:
            return tuple(now.values()), (min(fewest, default=0), len(fewest))
    raise AssertionError("planning does not come to an end")


def pods(there: tuple[Object, ...]) -> dict[str, int]:
    return {one["metadata"]["name"]: one["spec"]["replicas"] for one in there}


@pytest.mark.parametrize("total", range(2, 41))
@pytest.mark.parametrize("share", [1, 10, 25, 50, 80])
def test_both_have_what_is_nearest_or_it_is_refused(share: float, total: int) -> None:
    wanted = pod_ratio.for_total(share, total)
    if wanted.stable < 3:
        with pytest.raises(Refused, match="Set total to at least") as raised:
            replica_canary.plan_present(snapshot(STABLE), SHOP, options(share, total))
        enough = int(raised.value.msg.split("total to at least ")[1].split(",")[0])
        assert after((STABLE,), options(share, enough))
        return
    there, (fewest, _writes) = after((STABLE,), options(share, total))
    assert pods(there) == {"shop": wanted.stable, "shop-canary": wanted.canary}
    assert fewest >= 3


def test_the_next_step_of_the_same_total_never_has_fewer_pods() -> None:
    there, _changed = after((STABLE,), options(10, 10))
    assert pods(there) == {"shop": 9, "shop-canary": 1}
    there, (fewest, writes) = after(there, options(50, 10))
    assert pods(there) == {"shop": 5, "shop-canary": 5}
    assert (fewest, writes) == (10, 2), "stable came down before the canary was up"


def test_the_end_gives_stable_its_own_number_back() -> None:
    there, _changed = after((STABLE,), options(10, 10))
    assert there[0]["metadata"]["annotations"] == {PODS_BEFORE: "3"}
    plan = replica_canary.plan_absent(snapshot(*there), SHOP, Wanted())
    assert [change.name for change in plan.changes] == ["shop-canary", "shop"], "pods go while the canary still serves"
    back = plan.changes[1].after
    assert back is not None
    assert (back["spec"], back["metadata"]["annotations"]) == (STABLE["spec"], {})
    assert plan.weights_after == {"shop": 100.0}
    (left,) = replica_canary.plan_absent(snapshot(there[0]), SHOP, Wanted()).changes
    assert left.name == "shop", "a canary that somebody deleted leaves stable scaled up"


def test_what_did_not_roll_out_is_put_back() -> None:
    plan = replica_canary.plan_present(snapshot(STABLE), SHOP, options(10, 10))
    scaled = plan.changes[0].after
    assert scaled is not None
    back = replica_canary.plan_back(snapshot(scaled), SHOP, Wanted(), plan.changes[0]).changes[0].after
    assert back is not None
    assert (back["spec"]["replicas"], back["metadata"]["annotations"]) == (3, {})


SCALER: Object = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "books"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}},
}


@pytest.mark.parametrize(
    ("stable", "hpas", "total", "error", "words"),
    [
        (STABLE, (SCALER,), 10, Refused, "owns the number of pods of Deployment books/shop, so total cannot be used"),
        (STABLE, (), 1, InvalidInput, "a total of 1 pods is too small"),
        (
            {**STABLE, "metadata": {**STABLE["metadata"], "annotations": {PODS_BEFORE: "x"}}},
            (),
            10,
            InvalidInput,
            "'x'",
        ),
    ],
)
def test_a_total_that_cannot_be_is_refused(
    stable: Object, hpas: tuple[Object, ...], total: int, error: type[CanaryError], words: str
) -> None:
    with pytest.raises(error, match=words):
        replica_canary.plan_present(snapshot(stable, hpas=hpas), SHOP, options(10, total))


def test_other_deployments_behind_the_service_count_in_the_total() -> None:
    others = (STABLE, deployment("shop-old", 2, track="old"))
    there, _changed = after(others, options(10, 10, deployment="shop"))
    assert pods(there) == {"shop": 7, "shop-old": 2, "shop-canary": 1}


@pytest.mark.parametrize("share", [1, 10, 25, 33, 50, 80])
@pytest.mark.parametrize("bound", [0.5, 2, 10])
def test_an_error_bound_takes_the_fewest_pods_whatever_the_step_before(share: float, bound: float) -> None:
    got = {}
    for before in (1, share, 60):
        there, _changed = after((STABLE,), options(before, None, max_error=bound))
        there, (fewest, _writes) = after(there, options(share, None, max_error=bound))
        got[before] = pods(there)
        assert fewest >= 3 or before == share
    stable, own = got[share]["shop"], got[share]["shop-canary"]
    assert list(got.values()) == [got[share]] * len(got)
    assert abs(100 * own / (stable + own) - share) <= bound
    assert stable == 3 or all(
        abs(100 * one / total - share) > bound for total in range(4, stable + own) for one in range(1, total - 2)
    )


def test_an_error_bound_that_the_pods_keep_leaves_stable_alone() -> None:
    there, _changed = after((STABLE,), options(25, None, max_error=20))
    assert pods(there) == {"shop": 3, "shop-canary": 1}
    assert there[0] == STABLE


def test_beside_an_autoscaler_an_error_bound_is_kept_or_refused() -> None:
    assert replica_canary.plan_present(snapshot(STABLE, hpas=(SCALER,)), SHOP, options(25, None, max_error=1)).changed
    with pytest.raises(Refused, match=r"1% within 1 points needs 49 pods and 1 canary pods, but .* minReplicas"):
        replica_canary.plan_present(snapshot(STABLE, hpas=(SCALER,)), SHOP, options(1, None, max_error=1))
