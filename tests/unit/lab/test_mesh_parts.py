# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is applied to a lab cluster, what Prometheus is told, and how early a pod that cannot start is named."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml

from lab.kindlab import addons, pods
from lab.kindlab.errors import LabError
from lab.manifests.prometheus import targets


class Cluster:
    """Answers `kubectl get KIND` with the objects it was given."""

    def __init__(self, **objects: list[dict[str, t.Any]]) -> None:
        self.objects = objects

    def kubectl(self, _verb: str, kind: str, *_words: str) -> str:
        return json.dumps({"items": self.objects[kind]})


def a_pod(name: str, **status: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "namespace": "n"}, "spec": {"containers": []}, "status": status}


def waiting(reason: str, restarts: int = 0, container: str = "app") -> dict[str, t.Any]:
    state = {"waiting": {"reason": reason, "message": "because"}}
    return {"name": container, "restartCount": restarts, "state": state}


def a_deployment(available: int, observed: int = 1) -> dict[str, t.Any]:
    status = {"observedGeneration": observed, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}
    return {"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 1}, "status": status}


# Pods


@pytest.mark.parametrize("place", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize(
    ("status", "hopeless"),
    [
        (waiting("ImagePullBackOff"), True),
        (waiting("CreateContainerConfigError"), True),
        (waiting("ErrImagePull"), False),
        (waiting("ContainerCreating"), False),
        (waiting("CrashLoopBackOff", restarts=1), False),
        (waiting("CrashLoopBackOff", restarts=2), True),
        ({"name": "app", "restartCount": 9, "state": {"running": {}}}, False),
    ],
)
def test_only_what_waiting_cannot_help_is_hopeless(place: str, status: dict[str, t.Any], hopeless: bool) -> None:
    found = pods.cannot_start(t.cast(t.Any, Cluster(pods=[a_pod("web-1", **{place: [status]})])), "n")
    assert bool(found) == hopeless
    assert not hopeless or "web-1, container app: " in found[0]


def test_waiting_ends_at_once_with_the_pods_own_reason() -> None:
    pod = a_pod("web-1", containerStatuses=[waiting("InvalidImageName")])
    cluster = Cluster(deployments=[a_deployment(0)], pods=[pod])
    with pytest.raises(LabError, match=r"web in n did not start: web-1, container app: InvalidImageName because"):
        pods.wait_ready(t.cast(t.Any, cluster), "n", ["web"], seconds=3600)


def test_waiting_in_vain_says_what_is_missing() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
    cluster = Cluster(deployments=[a_deployment(0)], pods=[a_pod("web-1", conditions=[unscheduled])])
    with pytest.raises(LabError, match="web-1: Unschedulable no cpu"):
        pods.wait_ready(t.cast(t.Any, cluster), "n", ["web"], seconds=-1)


def test_rolled_out_means_the_newest_template() -> None:
    pods.wait_ready(t.cast(t.Any, Cluster(deployments=[a_deployment(1)], pods=[])), "n", ["web"], seconds=-1)
    for behind in (a_deployment(1, observed=0), a_deployment(0)):
        with pytest.raises(LabError):
            pods.wait_ready(t.cast(t.Any, Cluster(deployments=[behind], pods=[])), "n", ["web"], seconds=-1)


# What is applied


@pytest.mark.parametrize("pulled", [True, False])
def test_every_manifest_is_yaml_with_its_names_filled_in(pulled: bool) -> None:
    objects = [item for text in addons.manifests(pulled=pulled) for item in yaml.safe_load_all(text)]
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert {("ConfigMap", "prometheus"), ("Deployment", "prometheus"), ("Deployment", "metrics-server")} <= names
    assert (("Deployment", "prometheus-targets") in names) == (not pulled)
    images = [
        container["image"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
    assert all(image.startswith("localhost/") != pulled for image in images)


def test_derived_metrics_are_only_where_the_proxies_have_no_own_ones() -> None:
    pulled, built = addons.configuration(pulled=True), addons.configuration(pulled=False)
    assert set(pulled) == {"prometheus.yaml"}
    assert set(built) == {"prometheus.yaml", "rules-stock-envoy.yaml", "targets.py"}
    (job,) = yaml.safe_load(pulled["prometheus.yaml"])["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod"}]
    (job,) = yaml.safe_load(built["prometheus.yaml"])["scrape_configs"]
    assert job["http_sd_configs"][0]["url"] == "http://prometheus-targets.istio-system"


def test_changed_configuration_makes_new_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    def annotation() -> str:
        (text,) = [text for text in addons.manifests(pulled=True) if "--storage.tsdb.path" in text]
        deployment = next(item for item in yaml.safe_load_all(text) if item["kind"] == "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["configuration"])

    before = annotation()
    assert annotation() == before
    monkeypatch.setattr(addons, "configuration", lambda *, pulled: {"prometheus.yaml": f"other {pulled}"})
    assert annotation() != before


# What Prometheus is told


def test_targets_are_the_proxies_of_running_pods_with_their_labels() -> None:
    port = {"name": "http-envoy-prom", "containerPort": 15090}
    pod = {
        "metadata": {
            "name": "reviews-v1-7d9f-x",
            "namespace": "shop",
            "labels": {"app": "reviews", "app.kubernetes.io/name": "reviews"},
            "ownerReferences": [{"name": "reviews-v1-7d9f", "controller": True}],
        },
        "spec": {
            "initContainers": [{"name": "istio-proxy", "ports": [port]}],
            "containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 9080}]}],
        },
        "status": {"podIP": "10.0.0.7", "phase": "Running"},
    }
    (found,) = targets.targets([pod])
    assert found["targets"] == ["10.0.0.7:15090"]
    assert found["labels"] == {
        "__meta_kubernetes_pod_label_app": "reviews",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "reviews",
        "__meta_kubernetes_pod_container_port_name": "http-envoy-prom",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_namespace": "shop",
        "__meta_kubernetes_pod_name": "reviews-v1-7d9f-x",
        "__meta_kubernetes_pod_controller_name": "reviews-v1-7d9f",
    }
    assert targets.targets([{**pod, "status": {"phase": "Pending"}}]) == []
