# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight of pods by table: a good pair with one thing broken gives the finding of that thing alone."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.preflight import deployments
from ansible_collections.meshops.canary.plugins.module_utils.replicas import replica_canary
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_pair import Wanted
from support.deployments import SHOP, deployment, snapshot

Object = dict[str, t.Any]


def good(name: str = "shop", image: str = "shop:1", pods: int = 3, **strategy: t.Any) -> Object:
    made = deployment(name, pods, image, track="canary" if name == "shop-canary" else "stable")
    container = made["spec"]["template"]["spec"]["containers"][0]
    container |= {"readinessProbe": {"httpGet": {"port": 80}}, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    rolling = {"maxUnavailable": 0, "maxSurge": 1, **strategy}
    made["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return made


def broken(path: str, value: t.Any, **given: t.Any) -> Object:
    """Return a good Deployment with one field changed; None takes it out."""
    made = copy.deepcopy(good(**given))
    *way, last = path.split("/")
    place: t.Any = made
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value
    if value is None:
        del place[last]
    return made


def codes(there: list[Object], wanted: Wanted, *, affinity: str = "None") -> list[str]:
    """Return the codes for the plan that `wanted` means: a share, or an update of stable."""
    seen = snapshot(*there)
    (front,) = seen.need("services")
    front["spec"]["sessionAffinity"] = affinity
    planner = replica_canary.plan_updated if wanted.share is None else replica_canary.plan_present
    return [one.code for one in deployments.inspect(seen, SHOP, wanted, planner(seen, SHOP, wanted))]


UPDATE, SHARE, PROMOTE = Wanted(image="shop:2"), Wanted(image="shop:2", share=25), Wanted(promotes=True)
CONTAINER = "spec/template/spec/containers/0"
GRACE = "spec/template/spec/terminationGracePeriodSeconds"
FLUX = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux"}
ROLLOUT = [{"kind": "Rollout", "name": "shop", "apiVersion": "argoproj.io/v1alpha1"}]
NEW = good("shop-canary", "shop:2", 1)


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        ([good()], UPDATE, []),
        ([good()], SHARE, []),
        ([good(), NEW], PROMOTE, []),
        ([broken(f"{CONTAINER}/readinessProbe", None)], UPDATE, ["READINESS_PROBE_MISSING"]),
        ([broken(f"{CONTAINER}/readinessProbe", None)], SHARE, ["READINESS_PROBE_MISSING"]),
        ([broken(f"{CONTAINER}/lifecycle", {"postStart": {}})], UPDATE, ["PRESTOP_MISSING"]),
        ([broken(f"{CONTAINER}/lifecycle", None)], SHARE, ["PRESTOP_MISSING"]),
        ([broken(f"{CONTAINER}/lifecycle/preStop/sleep/seconds", 2)], UPDATE, ["PRESTOP_TOO_SHORT"]),
        ([broken(f"{CONTAINER}/lifecycle/preStop/sleep/seconds", 2)], SHARE, ["PRESTOP_TOO_SHORT"]),
        ([broken(GRACE, 5)], UPDATE, ["GRACE_PERIOD_TOO_SHORT"]),
        ([broken(GRACE, 5)], SHARE, ["GRACE_PERIOD_TOO_SHORT"]),
        ([broken("spec/strategy", {"type": "Recreate"})], UPDATE, ["UPDATE_ENDS_ALL_PODS"]),
        ([broken("spec/strategy", {"type": "Recreate"})], SHARE, []),
        ([broken("spec/strategy", {"type": "Recreate"}, pods=0)], UPDATE, []),
        ([good(maxUnavailable=1)], UPDATE, ["UPDATE_SINKS_CAPACITY"]),
        ([good(maxUnavailable=1)], SHARE, []),
        ([good(maxUnavailable="25%")], UPDATE, []),
        ([good(maxUnavailable="25%", pods=4)], UPDATE, ["UPDATE_SINKS_CAPACITY"]),
        ([good(maxUnavailable="25%", maxSurge=0)], UPDATE, ["UPDATE_SINKS_CAPACITY"]),
        ([broken("metadata/labels", FLUX)], UPDATE, ["REVERTED_BY_GITOPS"]),
        ([broken("metadata/labels", FLUX)], SHARE, []),
        ([broken("metadata/annotations", {"meta.helm.sh/release-name": "shop"})], UPDATE, ["APPLIED_BY_TOOL"]),
        ([broken("metadata/ownerReferences", ROLLOUT)], UPDATE, ["OWNED_BY_CONTROLLER"]),
        ([good(), broken("metadata/ownerReferences", ROLLOUT, name="shop-canary")], SHARE, ["OWNED_BY_CONTROLLER"]),
        ([broken(f"{CONTAINER}/env", [{"name": "A"}]), NEW], PROMOTE, ["PROMOTES_UNTESTED"]),
        ([broken(f"{CONTAINER}/env", [{"name": "A"}]), NEW], UPDATE, ["CANARY_TEMPLATE_DIFFERS"]),
        ([broken(f"{CONTAINER}/env", [{"name": "A"}]), NEW], SHARE, ["CANARY_TEMPLATE_DIFFERS"]),
        ([broken(f"{CONTAINER}/env", [{"name": "A"}]), NEW], Wanted(image="shop:3"), []),
    ],
)
def test_each_broken_thing_is_found_where_it_is_changed(there: list[Object], wanted: Wanted, found: list[str]) -> None:
    assert codes(there, wanted) == found


def test_a_service_that_keeps_callers_at_a_pod_is_told_where_a_share_is_wanted() -> None:
    assert codes([good()], SHARE, affinity="ClientIP") == ["SESSION_AFFINITY"]
    assert codes([good()], UPDATE, affinity="ClientIP") == []


def test_the_places_where_templates_differ_are_named() -> None:
    seen = snapshot(broken(f"{CONTAINER}/env", [{"name": "A"}]), NEW)
    (found,) = deployments.inspect(seen, SHOP, PROMOTE, replica_canary.plan_updated(seen, SHOP, PROMOTE))
    assert found.object == "Deployment books/shop-canary"
    assert found.reason.endswith("in more than the image: containers/0/env.")
