# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_rollout with shares made by pods, on a real API server: the same record, drift and ends. No pod starts."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import Direct, service

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.play import Player

Object = dict[str, t.Any]
APPS, ADA = "apps/v1", "ada@ops1/1"
OLD, NEW = "shop.invalid/reviews:1.14.2", "shop.invalid/reviews:1.16.1"
PLAN: Object = {"stable": "reviews", "canary": "reviews-canary", "steps": [10, 50], "image": NEW, "holder": ADA}
PAIR: Object = {"deployment": "reviews", "canary": "reviews-canary", "wait": False}


class ByPods:
    """One rollout's tasks, as the role runs them."""

    def __init__(self, direct: Direct) -> None:
        self.direct = direct

    def opened(self, **options: t.Any) -> Object:
        return self.direct("rollout", state="opened", route_api="replicas", **{**PLAN, **options})

    def recorded(self, event: str, **options: t.Any) -> Object:
        return self.direct("rollout", state="recorded", event=event, holder=ADA, **options)

    def scaled(self, share: float) -> Object:
        return self.direct("replicas", image=NEW, share=share, **PAIR)

    def step(self) -> Object:
        """Take the step the rollout is at, from preparing to a verdict that is good."""
        self.scaled(self.recorded("ready")["step"]["weight"])
        self.recorded("shifted")
        return self.recorded("pass")


def deployment(kube: Kube, namespace: str, name: str = "reviews") -> Object:
    found = kube.get(APPS, "Deployment", name, namespace)
    assert found is not None
    return found


@pytest.fixture
def by_pods(direct: Direct, kube: Kube, namespace: str) -> ByPods:
    """A rollout of the Service reviews with a stable Deployment of three pods that fit no node."""
    labels = {"app": "reviews", "track": "stable"}
    pod = {"nodeSelector": {"meshops.io/none": "such"}, "containers": [{"name": "reviews", "image": OLD}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    stable = {"apiVersion": APPS, "kind": "Deployment", "metadata": {"name": "reviews"}, "spec": spec}
    kube.apply(service(), stable, namespace=namespace)
    return ByPods(direct)


def test_it_goes_up_by_pods_and_ends_promoted_once(by_pods: ByPods, kube: Kube, namespace: str) -> None:
    begun = by_pods.opened()
    assert [one["weight"] for one in begun["steps"]] == [10, 50], "all pods are new by the promotion, not by a step"
    assert begun["run"]["image_before"] == OLD
    assert "by the ratio of pods" in begun["plan_text"][0]
    assert by_pods.step()["run"]["weight"] == 50
    assert deployment(kube, namespace, "reviews-canary")["spec"]["replicas"] == 1
    promoting = by_pods.step()
    assert promoting["run"]["phase"] == "promoting"
    assert deployment(kube, namespace, "reviews-canary")["spec"]["replicas"] == 3
    by_pods.direct("replicas", image=NEW, state="updated", **PAIR)
    resumed = by_pods.opened()
    assert resumed["resumed"]
    assert resumed["drift"] == "", "the rolling update of the promotion is no edit by others"
    by_pods.direct("replicas", state="absent", **PAIR)
    assert by_pods.recorded("done")["run"]["phase"] == "promoted"
    again = by_pods.opened(steps=[20, 40])
    assert not again["changed"], "a second run takes the promoted version back"
    assert again["run"]["over"]
    other = by_pods.opened(image="shop.invalid/reviews:1.17.0")
    assert not other["resumed"]
    assert other["run"]["image_before"] == NEW


def test_scaling_stable_is_no_drift_and_scaling_the_canary_is(by_pods: ByPods, kube: Kube, namespace: str) -> None:
    by_pods.opened()
    by_pods.step()
    kube.patch(APPS, "Deployment", "reviews", namespace, {"spec": {"replicas": 7}})
    assert by_pods.opened()["drift"] == ""
    kube.patch(APPS, "Deployment", "reviews-canary", namespace, {"spec": {"replicas": 14}})
    refused = by_pods.direct("rollout", state="opened", route_api="replicas", fails=True, **PLAN)
    assert refused["error_code"] == "drift"
    assert "reviews-canary 10% -> 66.67%" in refused["msg"]
    assert by_pods.opened(on_drift="restore")["run"]["phase"] == "preparing"
    stopped = by_pods.recorded("ready", on_drift="stop")
    assert stopped["run"]["phase"] == "stopped"


def test_an_aborted_run_wants_everything_back_on_stable(by_pods: ByPods) -> None:
    by_pods.opened()
    by_pods.step()
    back = by_pods.recorded("abort")
    assert back["run"]["weights_wanted"] == {"reviews": 100.0, "reviews-canary": 0.0}
    assert back["run"]["waits_for"] == "the canary's pods to end"
    by_pods.direct("replicas", state="absent", **PAIR)
    assert by_pods.recorded("done")["run"]["phase"] == "rolled_back"
    assert not by_pods.opened()["resumed"], "a run after a rollback is a new attempt"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": ""}, "image: say which image"),
        ({"image": OLD}, "runs shop.invalid/reviews:1.14.2 already"),
        ({"keep": {"other": 5}}, "keep: by pods"),
        ({"steps": [100]}, "a share below 100"),
        ({"stable": "nobody"}, "not among the Deployments"),
        ({"route_api": "auto"}, "image and container are for route_api=replicas"),
    ],
)
def test_what_cannot_begin_holds_no_lock(by_pods: ByPods, kube: Kube, options: Object, words: str) -> None:
    given = {"route_api": "replicas", **PLAN, **options}
    failed = by_pods.direct("rollout", state="opened", fails=True, **given)
    assert failed["error_code"] == "invalid_input"
    assert words in failed["msg"]
    leases = kube.list("coordination.k8s.io/v1", "Lease", by_pods.direct.namespace)
    assert not any(one["spec"].get("holderIdentity") for one in leases)


def test_whoever_was_killed_before_the_first_step_asks_again_what_it_costs(by_pods: ByPods, play: Player) -> None:
    plan = {name: PLAN[name] for name in ("stable", "canary", "image", "steps")}
    plan.update(deadline=2, pause=0, analysis=False)
    begun = by_pods.opened(**plan)
    by_pods.direct("rollout", state="closed", holder=ADA)
    names = {"service": "reviews", "ns": by_pods.direct.namespace, "route_api": "replicas", "report_dir": ""}
    played = play("meshops.canary.rollout", fails=True, **names, **plan)
    opened = played.task("meshops.canary.rollout : Take the lock, and make or find the record")
    assert opened.get("run", {}).get("id") == begun["run"]["id"], opened["msg"]
    asked = played.task("meshops.canary.rollout : Ask what each share costs in pods")["results"]
    assert [one["__rollout_asked"]["weight"] for one in asked] == [10, 50]
    assert by_pods.direct("rollout", state="present")["run"]["phase"] == "rolled_back", "no node takes the pods"


def test_an_analysis_by_pods_says_what_it_needs(by_pods: ByPods) -> None:
    asked = {"stable": "reviews", "canary": "reviews-canary", "route_api": "replicas"}
    failed = by_pods.direct("analysis", fails=True, **asked)
    assert failed["error_code"] == "invalid_input"
    assert "has no proxies that count" in failed["msg"]
    assert "rollout_after_step" in failed["msg"]
    unreachable = {"prometheus_url": "http://127.0.0.1:9", "watch": 1, "deadline": 1, "prometheus_timeout": 1}
    metric = {"name": "queue", "kind": "value", "query": 'queue{deployment="$version"}', "limit": 5}
    judged = by_pods.direct("analysis", metrics=[metric], **unreachable, **asked)
    assert judged["verdict"] == "inconclusive"


def test_the_playbook_rollback_ends_it_and_takes_its_pods(
    by_pods: ByPods, kube: Kube, namespace: str, play: Player
) -> None:
    by_pods.opened(pause=5, gate="manual", gate_seconds=90, gate_default="continue")  # judged, by a Prometheus
    by_pods.step()
    tried = play("meshops.canary.rollback", "--check", service="reviews", ns=namespace)
    shown = tried.task("Say what would be taken back")["msg"]
    assert shown.startswith("The pods of reviews-canary would be taken away; reviews serves alone.")
    assert by_pods.direct("rollout")["run"]["phase"] == "gated"
    other = play("meshops.canary.rollback", service="reviews", ns=namespace, canary="another").last["msg"]
    assert other.startswith(
        "No rollout of another is under way, so nothing was changed. reviews reviews -> reviews-can"
    )
    assert deployment(kube, namespace, "reviews-canary")["spec"]["replicas"] == 1
    play("meshops.canary.rollback", service="reviews", ns=namespace, canary="reviews-canary")
    assert kube.get(APPS, "Deployment", "reviews-canary", namespace) is None
    found = by_pods.direct("rollout")
    assert (found["run"]["phase"], found["run"]["holder"]) == ("rolled_back", "")
    refused = play("meshops.canary.rollback", fails=True, service="reviews", ns=namespace, stable="reviews").last["msg"]
    assert "has no version reviews. It has no routes. By pods the playbook replica_canary ends a canary" in refused


def test_whoever_looks_at_a_namespace_sees_it_though_it_has_no_routes(
    by_pods: ByPods, kube: Kube, namespace: str, play: Player
) -> None:
    plain = service()
    kube.apply({**plain, "metadata": {**plain["metadata"], "name": "nobodys"}}, namespace=namespace)
    before = play("meshops.canary.status", ns=namespace, sample_seconds=0).task("Show")["msg"]
    by_pods.opened()
    by_pods.recorded("ready")
    shown = play("meshops.canary.status", ns=namespace, sample_seconds=0).task("Show")["msg"]
    assert before == [f"No service of namespace {namespace} has routes, subsets, a canary or a rollout."]
    assert shown[0].startswith(f"reviews in {namespace} | ")
    assert [line.split() for line in shown[1:3]] == [["DEPLOYMENT", "CONNECTIONS", "READY"], ["reviews", "?", "0/3"]]
    assert any(line.startswith("rollout reviews -> reviews-canary: shifting, step 1 of 2 (10%)") for line in shown)
    assert not any("nobodys" in line for line in shown)
    assert play("meshops.canary.preflight", ns=namespace).task("Say what was found")["msg"] == [
        "Nothing is wrong. reviews: no routes"
    ]
