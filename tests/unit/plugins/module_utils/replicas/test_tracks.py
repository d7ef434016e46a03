# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose pods share a Service's connections, and whom an answer names."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import pods
from ansible_collections.meshops.canary.plugins.module_utils.objects.managed_state import ANNOTATION
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.replicas import tracks
from ansible_collections.meshops.canary.plugins.module_utils.replicas.tracks import Tracks
from support.deployments import SHOP, deployment, owned_pod

Object = dict[str, t.Any]


def seen(*found: Object, **spec: t.Any) -> Snapshot:
    front = {"metadata": {"name": "shop", "namespace": "books"}, "spec": {"selector": {"app": "shop"}, **spec}}
    return Snapshot(services=(front,), pods=found)


THERE = (
    owned_pod("shop", "7d", "aaaaa", version="v1"),
    owned_pod("shop", "7d", "bbbbb", version="v1"),
    owned_pod("shop", "7d", "ccccc", ready=False, version="v1"),
    owned_pod("shop-canary", "9f", "ddddd", version="v2", track="canary"),
    owned_pod("cart", "1b", "eeeee", app="cart"),
)


def test_every_ready_pod_behind_the_service_counts_once() -> None:
    assert Tracks(seen(*THERE), SHOP).ready == {"shop": 2, "shop-canary": 1}


@pytest.mark.parametrize(
    ("answer", "owner"),
    [
        ("shop", "shop"),
        ("shop-canary", "shop-canary"),
        ("shop-7d-aaaaa", "shop"),
        ("shop-canary-9f-ddddd", "shop-canary"),
        ("shop-canary-9f-zzzzz", "shop-canary"),
        ("v2", "shop-canary"),
        ("v1", "shop"),
        ("canary", "shop-canary"),
        ("cart-1b-eeeee", "cart-1b-eeeee"),
        ("v3", "v3"),
    ],
)
def test_an_answer_names_an_owner_itself_its_pod_or_a_label(answer: str, owner: str) -> None:
    assert Tracks(seen(*THERE), SHOP).owner_of_answer(answer) == owner


def test_a_label_that_two_owners_have_names_neither() -> None:
    both = Tracks(seen(owned_pod("shop", "7d", "a", version="v1"), owned_pod("old", "8e", "b", version="v1")), SHOP)
    assert both.by_owner({"v1": 3, "shop": 1, "shop-7d-a": 2}) == {"v1": 3, "shop": 3}


def test_pods_without_a_deployment_are_named_by_their_owner_or_themselves() -> None:
    alone = {"metadata": {"name": "shop-0", "labels": {"app": "shop"}}}
    stateful = {**alone, "metadata": {**alone["metadata"], "ownerReferences": [{"name": "db", "controller": True}]}}
    assert pods.owner_of(alone) == "shop-0"
    assert pods.owner_of(stateful) == "db"


@pytest.mark.parametrize("found", [(), (owned_pod("shop", "7d", "aaaaa", ready=False),)])
def test_without_ready_pods_there_is_nothing_to_verify(found: tuple[Object, ...]) -> None:
    with pytest.raises(InvalidInput, match="no ready pods"):
        Tracks(seen(*found), SHOP)


def test_the_last_change_is_the_newest_of_all_pods() -> None:
    when = Tracks(seen(*THERE, owned_pod("shop", "7d", "fffff", since="2026-11-22T12:00:09Z")), SHOP).changed_at()
    assert when is not None
    assert when.isoformat() == "2026-11-22T12:00:09+00:00"


def test_causes_name_what_was_seen_and_end_with_connections_kept_open() -> None:
    unchanged = Tracks(seen(*THERE), SHOP)
    (last,) = tracks.causes(unchanged, unchanged.ready, {"shop": 9})
    assert "keep connections open" in last
    result = tracks.causes(
        Tracks(seen(*THERE, sessionAffinity="ClientIP"), SHOP), {"shop": 5}, {"shop": 3, "stranger": 2}
    )
    assert "shop 2, shop-canary 1 before, shop 5 after" in result[0]
    assert "sessionAffinity" in result[1]
    assert "stranger is not one of the Deployments behind the Service" in result[2]


def test_each_deployment_has_the_share_of_its_ready_pods() -> None:
    behind = (deployment("shop", 3, version="v1"), deployment("shop-canary", None, track="canary"))
    assert tracks.by_deployment(replace(seen(*THERE), deployments=behind), SHOP) == [
        {"deployment": "shop", "ready": 2, "desired": 3, "share": 66.67},
        {"deployment": "shop-canary", "ready": 1, "desired": 1, "share": 33.33},
    ]
    lonely = owned_pod("old", "8e", "ggggg")
    third = tracks.by_deployment(replace(seen(*THERE, lonely), deployments=behind), SHOP)
    assert third is not None
    assert third[0] == {"deployment": "old", "ready": 1, "desired": None, "share": 25.0}
    (waiting,) = tracks.by_deployment(replace(seen(), deployments=behind[:1]), SHOP) or ()
    assert (waiting["ready"], waiting["share"]) == (0, None), "nobody's share is not 0"


def test_what_was_not_read_is_not_told() -> None:
    assert tracks.by_deployment(seen(*THERE), SHOP) is None
    assert tracks.by_deployment(replace(seen(), pods=None, deployments=()), SHOP) is None
    assert not tracks.has_canary(seen(*THERE), SHOP)


def test_a_canary_is_known_by_what_was_noted_on_it() -> None:
    canary = deployment("shop-canary", 1, track="canary")
    assert not tracks.has_canary(replace(seen(), deployments=(deployment("shop"), canary)), SHOP)
    noted = {**canary, "metadata": {**canary["metadata"], "annotations": {ANNOTATION: "{}"}}}
    assert tracks.has_canary(replace(seen(), deployments=(deployment("shop"), noted)), SHOP)
