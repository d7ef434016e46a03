# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The managed state in the annotation of a routing object."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, managed_state
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import reviews as rv

REVIEWS = ServiceRef("reviews", "bookinfo")
LIMIT = 256 * 1024
"""Bytes that all annotations of an object may have together."""
COMPRESSED = '{"compressed": "%s", "hosts": []}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"services": [], "routes": {}}', '"x"', "null", "[" * 100_000),
        *(COMPRESSED % one for one in ("", "!", "eJw=", "AAAA", "eJyrVkrLz1eyUkpKLFKqBQAcUAPr")),
        '{"compressed": 1}',
    ],
)
def test_an_unreadable_state_is_refused(text: str) -> None:
    obj = rv.virtual_service()
    obj["metadata"]["annotations"] = {managed_state.ANNOTATION: text}
    with pytest.raises(Exception, match="cannot be read") as refusal:
        managed_state.read(obj)
    assert refusal.value.findings[0].code == "STATE_UNREADABLE"  # type: ignore[attr-defined]


def large(number: int) -> t.Any:
    """Return a VirtualService with so many routes as a large API has, with the copy that `kubectl apply` keeps."""
    entry = {"host": REVIEWS.fqdn, "port": {"number": 80}, "subset": "v1"}
    http = [
        {
            "match": [{"uri": {"prefix": f"/api/v1/resource-number-{one}/items"}}],
            "rewrite": {"uri": "/reviews/0"},
            "headers": {"request": {"set": {"x-route": f"resource-{one}"}}},
            "route": [{"destination": entry, "headers": {"response": {"set": {"x-team": f"team-{one % 7}"}}}}],
        }
        for one in range(number)
    ]
    return rv.virtual_service(hosts=[REVIEWS.fqdn], http=http)


@pytest.mark.parametrize(("number", "by_kubectl"), [(1, True), (400, True), (2000, False)])
def test_the_state_of_many_routes_has_room_in_the_object(number: int, by_kubectl: bool) -> None:
    obj = large(number)
    if by_kubectl:
        copied = json.dumps(obj)
        obj["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": copied}
    lists = {**rv.healthy(), "virtual_services": [obj]}
    snapshot = Snapshot(**lists)
    planned = plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}))
    (change,) = planned.changes
    annotations = (change.after or {})["metadata"]["annotations"]
    assert sum(len(key) + len(value) for key, value in annotations.items()) < LIMIT
    assert len(change.patch) < 10_000, "the API server's limit"
    assert len(json.dumps(change.patch)) < 3 * 1024 * 1024, "the API server's limit"
    split = snapshot.after(planned.changes)
    back = plan.plan(split, REVIEWS, intents.RestoreWeights())
    assert split.after(back.changes).virtual_services == (obj,)


def test_a_small_state_can_be_read_by_people() -> None:
    snapshot = Snapshot(**rv.healthy())
    (change,) = plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50})).changes
    text = (change.after or {})["metadata"]["annotations"][managed_state.ANNOTATION]
    assert json.loads(text)["services"][REVIEWS.fqdn]["weights"] == {"http/everything": {"v1": "50", "v2": "50"}}


def test_a_compressed_state_is_found_by_its_host_and_no_other() -> None:
    snapshot = Snapshot(**{**rv.healthy(), "virtual_services": [large(50)]})
    (change,) = plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50})).changes
    assert change.after is not None
    text = change.after["metadata"]["annotations"][managed_state.ANNOTATION]
    assert json.loads(text)["hosts"] == [REVIEWS.fqdn]
    assert managed_state.has_state_for(change.after, REVIEWS.fqdn)
    assert not managed_state.has_state_for(change.after, "ratings.bookinfo.svc.cluster.local")
