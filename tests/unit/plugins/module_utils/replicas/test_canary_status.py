# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a canary by pods stands: in the share that was asked for as long as nobody else has scaled it."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects.managed_state import ANNOTATION
from ansible_collections.meshops.canary.plugins.module_utils.replicas import replica_canary
from ansible_collections.meshops.canary.plugins.module_utils.replicas.canary_status import standing
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_pair import Wanted
from support.deployments import SHOP, STABLE, deployment, snapshot

Object = dict[str, t.Any]
NEW = Wanted(deployment="shop", canary="shop-canary", image="shop:2")


def made(share: float | None = None, replicas: int | None = None) -> Object:
    """Return the canary that a task with this share or number of pods makes."""
    wanted = Wanted(image="shop:2", share=share, replicas=replicas)
    after = replica_canary.plan_present(snapshot(STABLE), SHOP, wanted).changes[0].after
    assert after is not None
    return after


def test_without_a_canary_stable_has_all() -> None:
    assert standing(snapshot(STABLE), SHOP, NEW) == ({"shop": 100.0, "shop-canary": 0.0}, "shop:1")


def test_the_share_that_was_asked_for_is_told_though_pods_only_come_near() -> None:
    assert standing(snapshot(STABLE, made(share=1)), SHOP, NEW).weights == {"shop": 99.0, "shop-canary": 1.0}


def test_what_an_autoscaler_does_to_stable_is_nobodys_edit() -> None:
    scaled = {**STABLE, "spec": {**STABLE["spec"], "replicas": 9}}
    assert standing(snapshot(scaled, made(share=20)), SHOP, NEW).weights["shop-canary"] == 20.0


def test_a_canary_that_somebody_scaled_has_what_its_pods_give() -> None:
    scaled = made(share=25)
    scaled["spec"]["replicas"] = 3
    assert standing(snapshot(STABLE, scaled), SHOP, NEW).weights == {"shop": 50.0, "shop-canary": 50.0}


@pytest.mark.parametrize("there", [made(replicas=3), deployment("shop-canary", 3, "shop:2", track="canary")])
def test_where_no_share_was_asked_for_pods_say_it(there: Object) -> None:
    assert standing(snapshot(STABLE, there), SHOP, NEW).weights == {"shop": 50.0, "shop-canary": 50.0}


@pytest.mark.parametrize("also", [(), (made(share=25),)])
def test_stable_with_the_new_image_is_everything_new(also: tuple[Object, ...]) -> None:
    stable = deployment("shop", 3, "shop:2", track="stable")
    assert standing(snapshot(stable, *also), SHOP, NEW) == ({"shop": 0.0, "shop-canary": 100.0}, "shop:2")


def test_the_note_follows_each_writing_and_going_back_takes_it_along() -> None:
    before = made(share=25)
    change = replica_canary.plan_present(snapshot(STABLE, before), SHOP, Wanted(share=40)).changes[0]
    assert change.after is not None
    assert json.loads(change.after["metadata"]["annotations"][ANNOTATION]) == {"created": True, "pods": 2, "share": 40}
    later = copy.deepcopy(change.after)
    back = replica_canary.plan_back(snapshot(STABLE, later), SHOP, Wanted(), change).changes[0]
    assert back.after == before
    by_number = replica_canary.plan_present(snapshot(STABLE, before), SHOP, Wanted(replicas=2)).changes[0]
    assert by_number.after is not None
    assert json.loads(by_number.after["metadata"]["annotations"][ANNOTATION]) == {"created": True, "pods": 2}
