# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which template a Deployment goes back to, and when it must not."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.replicas import replica_canary, revisions
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_pair import Wanted
from support.deployments import SHOP, STABLE, snapshot

Object = dict[str, t.Any]


def of_revision(number: int, image: str, *, owner: str = "u1") -> Object:
    template = copy.deepcopy(STABLE["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
    template["spec"]["containers"][0]["image"] = image
    metadata = {
        "name": f"shop-h{number}",
        "annotations": {revisions.REVISION: str(number)},
        "ownerReferences": [{"kind": "Deployment", "uid": owner, "controller": True}],
    }
    return {"metadata": metadata, "spec": {"template": template}}


def deployment(revision: str = "4", reason: str = "ReplicaSetUpdated") -> Object:
    made = copy.deepcopy(STABLE)
    made["metadata"] |= {"uid": "u1", "annotations": {revisions.REVISION: revision}}
    made["status"] = {"conditions": [{"type": "Available"}, {"type": "Progressing", "reason": reason}]}
    return made


@pytest.mark.parametrize(
    ("sets", "image"),
    [
        ([of_revision(2, "shop:0"), of_revision(3, "shop:1"), of_revision(4, "shop:bad")], "shop:1"),
        ([of_revision(4, "shop:bad"), of_revision(9, "shop:other", owner="u2")], None),
        ([of_revision(3, "shop:strange", owner="u2"), of_revision(1, "shop:0"), of_revision(4, "shop:bad")], "shop:0"),
        ([], None),
    ],
)
def test_the_revision_before_is_that_of_kubectl_rollout_undo(sets: list[Object], image: str | None) -> None:
    before = copy.deepcopy(sets)
    found = revisions.template_before(deployment(), sets)
    assert sets == before, "what was read was changed"
    assert (found and found["spec"]["containers"][0]["image"]) == image
    assert found is None or "pod-template-hash" not in found["metadata"]["labels"]


@pytest.mark.parametrize(
    ("reason", "never"),
    [("ReplicaSetUpdated", True), ("ProgressDeadlineExceeded", True), ("NewReplicaSetAvailable", False)],
)
def test_a_rollout_that_once_ended_well_is_not_undone(reason: str, never: bool) -> None:
    assert revisions.never_ended(deployment(reason=reason)) is never
    assert not revisions.never_ended(STABLE), "without the condition nothing is known"


def test_undoing_takes_the_template_alone() -> None:
    bad = deployment()
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:bad"
    bad["spec"]["replicas"] = 8
    template = revisions.template_before(bad, [of_revision(3, "shop:1")])
    assert template is not None
    (change,) = replica_canary.plan_undone(snapshot(bad), SHOP, Wanted(), "shop", template).changes
    assert change.after is not None
    assert change.after["spec"] == {**STABLE["spec"], "replicas": 8}
    with pytest.raises(Refused, match="no longer exists"):
        replica_canary.plan_undone(snapshot(STABLE), SHOP, Wanted(), "shop-canary", template)
