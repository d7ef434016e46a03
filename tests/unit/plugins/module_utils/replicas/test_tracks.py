# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose pods share a Service's connections, and whom an answer names."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.replicas import tracks
from ansible_collections.meshops.canary.plugins.module_utils.replicas.tracks import Tracks
from ansible_collections.meshops.canary.plugins.module_utils.routes import pods
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from support.deployments import SHOP, owned_pod

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
    assert Tracks(seen(*THERE), SHOP).told(answer) == owner


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
    with pytest.raises(InvalidInput, match="no ready pods behind it"):
        Tracks(seen(*found), SHOP)


def test_the_last_change_is_the_newest_of_all_pods() -> None:
    when = Tracks(seen(*THERE, owned_pod("shop", "7d", "fffff", since="2026-11-22T12:00:09Z")), SHOP).changed_at()
    assert when is not None
    assert when.isoformat() == "2026-11-22T12:00:09+00:00"


def test_causes_name_what_was_seen_and_end_with_connections_kept_open() -> None:
    calm = Tracks(seen(*THERE), SHOP)
    (last,) = tracks.causes(calm, calm.ready, {"shop": 9})
    assert "keep connections open" in last
    told = tracks.causes(
        Tracks(seen(*THERE, sessionAffinity="ClientIP"), SHOP), {"shop": 5}, {"shop": 3, "stranger": 2}
    )
    assert "shop 2, shop-canary 1 before, shop 5 after" in told[0]
    assert "sessionAffinity" in told[1]
    assert "stranger names none" in told[2]
