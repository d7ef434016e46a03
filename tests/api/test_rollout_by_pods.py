# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_rollout with shares made by pods, on a real API server: the same record, drift and ends. No pod starts."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import Direct, service
from support.rollout_role import ADVANCED, role_variables

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.play import Player

Object = dict[str, t.Any]
APPS, ADA = "apps/v1", "ada@ops1/1"
OLD, NEW = "shop.invalid/reviews:1.14.2", "shop.invalid/reviews:1.16.1"
PLAN: Object = {
    "stable": "reviews", "canary": "reviews-canary", "steps": [10, 50], "image": NEW, "holder": ADA,
    "prometheus_url": "http://prometheus.invalid",
}  # fmt: skip
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


def test_a_rollout_by_pods_is_promoted_once(by_pods: ByPods, kube: Kube, namespace: str) -> None:
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
    assert resumed["drift"] == "", "the rolling update of the promotion is no drift"
    by_pods.direct("replicas", state="absent", **PAIR)
    assert by_pods.recorded("done")["run"]["phase"] == "promoted"
    again = by_pods.opened(steps=[20, 40])
    assert not again["changed"], "a second run rolls the promoted version back"
    assert again["run"]["over"]
    other = by_pods.opened(image="shop.invalid/reviews:1.17.0")
    assert not other["resumed"]
    assert other["run"]["image_before"] == NEW


def test_scaling_the_canary_is_drift_and_scaling_stable_is_not(by_pods: ByPods, kube: Kube, namespace: str) -> None:
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


def test_an_aborted_run_returns_everything_to_stable(by_pods: ByPods) -> None:
    by_pods.opened()
    by_pods.step()
    back = by_pods.recorded("abort")
    assert back["run"]["desired_weights"] == {"reviews": 100.0, "reviews-canary": 0.0}
    assert back["run"]["waits_for"] == "the canary's pods to terminate"
    by_pods.direct("replicas", state="absent", **PAIR)
    assert by_pods.recorded("done")["run"]["phase"] == "rolled_back"
    assert not by_pods.opened()["resumed"], "a run after a rollback is a new attempt"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": ""}, "image: set the image of the canary"),
        ({"image": OLD}, "already runs shop.invalid/reviews:1.14.2"),
        ({"keep": {"other": 5}}, "keep: with route_api=replicas"),
        ({"steps": [100]}, "a step below 100 percent"),
        ({"stable": "nobody"}, "not one of the Deployments"),
        ({"route_api": "auto"}, "image and container need route_api=replicas"),
    ],
)
def test_a_refused_rollout_holds_no_lock(by_pods: ByPods, kube: Kube, options: Object, words: str) -> None:
    given = {"route_api": "replicas", **PLAN, **options}
    failed = by_pods.direct("rollout", state="opened", fails=True, **given)
    assert failed["error_code"] == "invalid_input"
    assert words in failed["msg"]
    leases = kube.list("coordination.k8s.io/v1", "Lease", by_pods.direct.namespace)
    assert not any(one["spec"].get("holderIdentity") for one in leases)


def test_a_run_killed_before_its_first_step_reports_again_what_each_share_costs(by_pods: ByPods, play: Player) -> None:
    plan = {name: PLAN[name] for name in ("stable", "canary", "image", "steps")}
    plan.update(deadline=2, pause=0, analysis=False)
    begun = by_pods.opened(**plan)
    by_pods.direct("rollout", state="closed", holder=ADA)
    names = {"service": "reviews", "ns": by_pods.direct.namespace, "route_api": "replicas", "report_dir": ""}
    played = play("meshops.canary.rollout", fails=True, **role_variables({**names, **plan}))
    advanced = played.task(ADVANCED)
    assert advanced.get("run", {}).get("id") == begun["run"]["id"], advanced["msg"]
    costs = [line for line in advanced["lines"] if "requested" in line and "reached" in line]
    assert len(costs) == 2, advanced["lines"]
    assert by_pods.direct("rollout", state="present")["run"]["phase"] == "rolled_back", "no node takes the pods"


def test_an_analysis_by_pods_names_what_it_needs(by_pods: ByPods) -> None:
    options = {"stable": "reviews", "canary": "reviews-canary", "route_api": "replicas"}
    failed = by_pods.direct("analysis", fails=True, **options)
    assert failed["error_code"] == "invalid_input"
    assert "has no proxies that count" in failed["msg"]
    assert "rollout_after_step" in failed["msg"]
    unreachable = {"prometheus_url": "http://127.0.0.1:9", "watch": 1, "deadline": 1, "prometheus_timeout": 1}
    metric = {"name": "queue", "kind": "value", "query": 'queue{deployment="$version"}', "limit": 5}
    judged = by_pods.direct("analysis", metrics=[metric], **unreachable, **options)
    assert judged["verdict"] == "inconclusive"


def test_the_playbook_rollback_ends_a_rollout_by_pods_and_removes_the_canary(
    by_pods: ByPods, kube: Kube, namespace: str, play: Player
) -> None:
    by_pods.opened(pause=5, gate="manual", gate_seconds=90, gate_default="continue")  # judged, by a Prometheus
    by_pods.step()
    tried = play("meshops.canary.rollback", "--check", service="reviews", ns=namespace)
    shown = tried.last["msg"][-1]
    assert shown.startswith("The pods of reviews-canary would be removed; reviews serves alone.")
    assert by_pods.direct("rollout")["run"]["phase"] == "gated"
    other = play("meshops.canary.rollback", service="reviews", ns=namespace, canary="another").last["msg"][-1]
    assert other.startswith(
        "No rollout of another is under way, so nothing was changed. reviews reviews -> reviews-can"
    )
    assert deployment(kube, namespace, "reviews-canary")["spec"]["replicas"] == 1
    play("meshops.canary.rollback", service="reviews", ns=namespace, canary="reviews-canary")
    assert kube.get(APPS, "Deployment", "reviews-canary", namespace) is None
    found = by_pods.direct("rollout")
    assert (found["run"]["phase"], found["run"]["holder"]) == ("rolled_back", "")
    refused = play("meshops.canary.rollback", fails=True, service="reviews", ns=namespace, stable="reviews").last["msg"]
    assert (
        "has no version reviews. It has no routes. To end a canary by pods, run the playbook replica_canary" in refused
    )


def test_the_status_of_a_namespace_shows_a_rollout_without_routes(
    by_pods: ByPods, kube: Kube, namespace: str, play: Player
) -> None:
    plain = service()
    kube.apply({**plain, "metadata": {**plain["metadata"], "name": "nobodys"}}, namespace=namespace)
    before = play("meshops.canary.status", ns=namespace, sample_seconds=0).task("Display the status")["msg"]
    by_pods.opened()
    by_pods.recorded("ready")
    shown = play("meshops.canary.status", ns=namespace, sample_seconds=0).task("Display the status")["msg"]
    assert before == [f"No service of namespace {namespace} has routes, subsets, a canary or a rollout."]
    assert shown[0].startswith(f"reviews in {namespace} | ")
    assert [line.split() for line in shown[1:3]] == [["DEPLOYMENT", "CONNECTIONS", "READY"], ["reviews", "?", "0/3"]]
    assert any(line.startswith("rollout reviews -> reviews-canary: shifting, step 1 of 2 (10%)") for line in shown)
    assert not any("nobodys" in line for line in shown)
    assert play("meshops.canary.preflight", ns=namespace).task("Display the findings")["msg"] == [
        "No findings. reviews: no routes"
    ]
