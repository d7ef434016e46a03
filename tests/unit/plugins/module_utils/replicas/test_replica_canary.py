# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for canaries by pod ratio: what is owned, what is left alone, what is refused."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.managed_state import ANNOTATION
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import NotRead, Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.replicas import (
    deployment_status,
    pod_labels,
    replica_canary,
)
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_pair import Wanted, find_pair
from support.deployments import SHOP, STABLE, deployment, snapshot

Object = dict[str, t.Any]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "shop", "track": "stable"}}, False),
        ({}, True),
        ({"matchExpressions": [{"key": "track", "operator": "In", "values": ["canary", "x"]}]}, True),
        ({"matchExpressions": [{"key": "track", "operator": "NotIn", "values": ["canary"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "track", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "track", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_selector_as_kubernetes_reads_it(selector: Object, chosen: bool) -> None:
    assert pod_labels.selects(selector, {"app": "shop", "track": "canary"}) is chosen


def test_a_canary_is_stable_with_its_own_name_labels_image_and_pods() -> None:
    before = copy.deepcopy(STABLE)
    (change,) = replica_canary.plan_present(snapshot(STABLE), SHOP, Wanted(image="shop:2", share=25)).changes
    assert before == STABLE, "what was read was changed"
    made = change.after
    assert made is not None
    assert change.before is None
    assert made["metadata"]["name"] == "shop-canary"
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["selector"] == {"matchLabels": {"app": "shop", "track": "canary"}}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "shop", "track": "canary", "team": "reading"}
    assert [one["image"] for one in made["spec"]["template"]["spec"]["containers"]] == ["shop:2", "helper:9"]


@pytest.mark.parametrize(
    ("share", "stable", "others", "pods"), [(50, 3, 0, 3), (50, 3, 2, 5), (10, 9, 0, 1), (0, 3, 0, 0)]
)
def test_pods_are_counted_beside_everything_behind_the_service(share: int, stable: int, others: int, pods: int) -> None:
    there = [deployment("shop", stable, track="stable"), deployment("shop-old", others, track="old")]
    plan = replica_canary.plan_present(snapshot(*there), SHOP, Wanted(deployment="shop", image="shop:2", share=share))
    assert plan.changes[0].after is not None
    assert plan.changes[0].after["spec"]["replicas"] == pods
    assert sum(plan.weights_after.values()) == pytest.approx(100, abs=0.05)


def test_an_edit_is_guarded_by_the_generation_and_what_it_replaces_not_by_the_status() -> None:
    plan = replica_canary.plan_updated(snapshot(STABLE), SHOP, Wanted(image="shop:2"))
    path = "/spec/template/spec/containers/0/image"
    assert list(plan.changes[0].patch) == [
        {"op": "test", "path": "/metadata/generation", "value": 4},
        {"op": "test", "path": path, "value": "shop:1"},
        {"op": "replace", "path": path, "value": "shop:2"},
    ]
    assert plan.summary == ("shop: 3 pods, shop=shop:1, helper=helper:9 -> 3 pods, shop=shop:2, helper=helper:9",)


def test_promote_takes_the_canarys_image_and_does_nothing_without_one() -> None:
    second = deployment("shop-canary", 1, "shop:2", track="canary")
    plan = replica_canary.plan_updated(snapshot(STABLE, second), SHOP, Wanted(promotes=True))
    assert [one.name for one in plan.changes] == ["shop"]
    assert not replica_canary.plan_updated(snapshot(STABLE), SHOP, Wanted(promotes=True)).changed
    with pytest.raises(InvalidInput, match="image"):
        replica_canary.plan_updated(snapshot(STABLE), SHOP, Wanted())


def test_going_back_keeps_what_others_wrote_since() -> None:
    plan = replica_canary.plan_updated(snapshot(STABLE), SHOP, Wanted(image="shop:2"))
    later = copy.deepcopy(plan.changes[0].after)
    assert later is not None
    later["spec"]["replicas"] = 8
    back = replica_canary.plan_back(snapshot(later), SHOP, Wanted(), plan.changes[0])
    assert back.changes[0].after == {**STABLE, "spec": {**STABLE["spec"], "replicas": 8}}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"created": false}', '"x"'])
def test_a_record_changed_by_hand_is_refused(text: str) -> None:
    second = deployment("shop-canary", 1, track="canary")
    second["metadata"]["annotations"] = {ANNOTATION: text}
    with pytest.raises(Refused, match="invalid annotation"):
        replica_canary.plan_absent(snapshot(STABLE, second), SHOP, Wanted())


PLAIN = deployment("shop")
OF_V1 = deployment("shop-v1", version="v1")
SCALER = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "books"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}},
}
PAUSED = {**STABLE, "spec": {**STABLE["spec"], "paused": True}}


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        ([PLAIN, deployment("shop-canary", 1)], Wanted(image="i", share=25), "so their pods cannot be distinguished"),
        ([OF_V1], Wanted(image="i", share=25), "labels: {version: v1-canary}"),
        ([deployment("shop", 0, track="stable")], Wanted(image="i", share=25), "has no pods"),
        ([STABLE, deployment("shop-old", track="old")], Wanted(image="i", share=25), "deployment is required"),
        ([], Wanted(image="i", share=25), "behind it: none"),
        (
            [STABLE],
            Wanted(image="i", share=25, deployment="shop", canary="shop"),
            "is the name of the stable Deployment",
        ),
        ([STABLE], Wanted(image="i", replicas=-1), "replicas must not be negative"),
        ([STABLE], Wanted(image="i"), "share or replicas"),
    ],
)
def test_what_would_mix_pods_or_cannot_be_is_refused(there: list[Object], wanted: Wanted, words: str) -> None:
    with pytest.raises((Refused, InvalidInput)) as raised:
        replica_canary.plan_present(snapshot(*there), SHOP, wanted)
    assert words in raised.value.msg


def test_the_labels_a_refusal_offers_are_accepted() -> None:
    plan = replica_canary.plan_present(
        snapshot(OF_V1), SHOP, Wanted(image="i", share=25, labels={"version": "v1-canary"})
    )
    assert plan.changes[0].name == "shop-v1-canary"


def test_a_paused_deployment_is_not_updated() -> None:
    with pytest.raises(Refused, match="rollout resume deployment shop"):
        replica_canary.plan_updated(snapshot(PAUSED), SHOP, Wanted(image="shop:2"))


def test_a_deployment_of_that_name_elsewhere_is_not_taken() -> None:
    stranger = deployment("shop-canary")
    stranger["spec"]["template"]["metadata"]["labels"] = {"app": "mail"}
    with pytest.raises(Refused, match="does not select its pods"):
        find_pair(snapshot(STABLE, stranger), SHOP, Wanted())


@pytest.mark.parametrize("selector", [{}, None])
def test_a_service_that_selects_nothing_cannot_share(selector: dict[str, str] | None) -> None:
    seen = snapshot(STABLE, selector={}) if selector is not None else Snapshot(services=(), deployments=(STABLE,))
    with pytest.raises(Refused, match=r"has no selector|does not exist"):
        find_pair(seen, SHOP, Wanted())


def test_what_was_not_read_is_asked_for() -> None:
    with pytest.raises(NotRead):
        replica_canary.plan_present(
            Snapshot(services=snapshot().services, deployments=(STABLE,)), SHOP, Wanted(share=25)
        )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"observedGeneration": 3}, "waiting for the Deployment controller"),
        ({"observedGeneration": 4, "replicas": 3}, "0 of 3 pods updated, 0 available, 3 old ones to end"),
        (
            {"observedGeneration": 4, "replicas": 4, "updatedReplicas": 2, "availableReplicas": 3},
            "2 of 3 pods updated, 3 available, 2 old ones to end",
        ),
    ],
)
def test_progress_in_the_numbers_of_kubectl(status: Object, words: str) -> None:
    assert words in deployment_status.progress({**STABLE, "status": status})


def test_a_plain_selector_is_taken_with_a_word_on_what_it_means() -> None:
    plan = replica_canary.plan_present(snapshot(PLAIN), SHOP, Wanted(image="shop:2", share=25))
    made = plan.changes[0].after
    assert made is not None
    assert made["spec"]["selector"] == {"matchLabels": {"app": "shop", "track": "canary"}}
    assert "each Deployment manages only its own pods" in plan.notes[0]
    assert replica_canary.plan_present(snapshot(PLAIN, made), SHOP, Wanted(share=25)).notes == (), "said once is enough"


@pytest.mark.parametrize("there", [(PLAIN,), (PLAIN, deployment("shop-canary", 1, track="canary"))])
def test_a_plain_selector_beside_an_autoscaler_is_refused_for_it_would_count_both(there: tuple[Object, ...]) -> None:
    with pytest.raises(Refused, match="HorizontalPodAutoscaler books/shop would count them as stable pods") as raised:
        replica_canary.plan_present(snapshot(*there, hpas=(SCALER,)), SHOP, Wanted(image="i", share=25))
    assert "another name, with track: stable in its selector" in raised.value.msg


def with_containers(*names: str, default: str = "") -> Object:
    """Return the stable Deployment with these containers, each with its name as image, and kubectl's annotation."""
    made = copy.deepcopy(STABLE)
    template = made["spec"]["template"]
    template["spec"]["containers"] = [{"name": name, "image": f"{name}:1"} for name in names]
    template["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": default} if default else {}
    return made


@pytest.mark.parametrize(
    ("names", "default", "container", "chosen"),
    [
        (("app",), "", "", "app"),
        (("log", "app"), "app", "", "app"),
        (("log", "app"), "app", "log", "log"),
        (("log", "app"), "", "app", "app"),
        (("istio-proxy", "app"), "", "", "app"),
        (("app", "log"), "log", "", "log"),
    ],
)
def test_the_image_is_for_the_container_that_is_named_or_meant(
    names: tuple[str, ...], default: str, container: str, chosen: str
) -> None:
    state = snapshot(with_containers(*names, default=default))
    plan = replica_canary.plan_updated(state, SHOP, Wanted(image="new:2", container=container))
    images = {one["name"]: one["image"] for one in plan.changes[0].after["spec"]["template"]["spec"]["containers"]}
    assert images == {**{name: f"{name}:1" for name in names}, chosen: "new:2"}
    if len(names) > 1:
        assert f"{chosen}=new:2" in plan.diff_after
        assert f"{chosen}={chosen}:1" in plan.diff_before


@pytest.mark.parametrize(
    ("names", "default", "words"),
    [
        (
            ("log", "app"),
            "",
            r"container is required: Deployment books/shop has the containers log, app\. Set container",
        ),
        (("log", "app"), "web", "names web, which is none of them"),
        (("app",), "web", "names web, which is none of them"),
        (("log", "app", "istio-proxy"), "", "has the containers log, app, istio-proxy"),
    ],
)
def test_several_containers_that_could_be_meant_are_refused(names: tuple[str, ...], default: str, words: str) -> None:
    state = snapshot(with_containers(*names, default=default))
    with pytest.raises(InvalidInput, match=words):
        replica_canary.plan_updated(state, SHOP, Wanted(image="new:2"))
    with pytest.raises(InvalidInput, match=words):
        replica_canary.plan_present(state, SHOP, Wanted(image="new:2", share=25))
