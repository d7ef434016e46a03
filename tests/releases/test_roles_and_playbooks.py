# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles and playbooks on the oldest and the newest ansible-core: one run each, on a real API server, without pods.

What the tasks do is tested on one release. These tests show that another release reads and templates them.
"""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, service

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.play import Player

VERSIONS = ("v1", "v2")
NO_NODE = {"nodeSelector": {"meshops.io/none": "such"}}
FORCE = ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
ROLES: dict[str, dict[str, t.Any]] = {
    "versions": {
        "wanted": {version: {} for version in VERSIONS},
        "ports": [{"name": "http", "port": 9080}],
        "image": "shop.invalid/reviews:1",
        "pod_spec": NO_NODE,
        "wait": False,
    },
    "routing": {"versions": list(VERSIONS), "stable": "v1", "force": FORCE},
    "autoscale": {"versions": {"v1": {"max": 3}}, "check_metrics": False, "wait": False},
}
PLAYBOOKS: dict[str, dict[str, t.Any]] = {
    "routing": {"versions": ",".join(VERSIONS), "force": FORCE},
    "shift": {"weights": {"v1": 90, "v2": 10}},
    "header_test": {"weights": {"v2": 100}},
    "status": {"sample_seconds": 0},
    "preflight": {},
    "rollout": {
        "stable": "v1",
        "canary": "v2",
        "steps": [50],
        "rollout_pause": 0,
        "rollout_analysis": False,
        "rollout_report_dir": "",
        "rollout_capacity": False,
        "rollout_retire_after": 0,
        "rollout_drain": 1,
        "rollout_force": FORCE,
    },
    "rollback": {"stable": "v1", "capacity": False, "cohorts": True},
    "promote": {"version": "v2", "capacity": False},
}


def including(role: str, namespace: str) -> dict[str, t.Any]:
    """Return a task that runs the role for the service reviews."""
    options = {"service": "reviews", "namespace": namespace, **ROLES[role]}
    variables = {f"{role}_{name}": value for name, value in options.items()}
    return {"name": role, "ansible.builtin.include_role": {"name": f"meshops.canary.{role}"}, "vars": variables}


def importing(playbook: str, **variables: t.Any) -> dict[str, t.Any]:
    """Return an import of the playbook."""
    return {"ansible.builtin.import_playbook": f"meshops.canary.{playbook}", "vars": variables}


@pytest.mark.api
def test_roles_and_playbooks_carry_a_service_from_its_first_version_to_its_second(
    kube: Kube, namespace: str, play: Player
) -> None:
    roles = {"name": "Roles", "hosts": "localhost", "gather_facts": False}
    plays = [
        {**roles, "tasks": [including(role, namespace) for role in ROLES]},
        *(importing(name, **variables) for name, variables in PLAYBOOKS.items()),
    ]
    play(plays, service="reviews", ns=namespace, force=FORCE, seconds=600)
    assert kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "reviews-v1", namespace)
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found
    weights = {one["destination"]["subset"]: one.get("weight") for one in found["spec"]["http"][-1]["route"]}
    assert weights == {"v2": 100}


@pytest.mark.api
def test_playbooks_without_a_mesh_and_bookinfo_run_in_check_mode(kube: Kube, namespace: str, play: Player) -> None:
    labels = {"app": "reviews"}
    pod = {**NO_NODE, "containers": [{"name": "reviews", "image": "shop.invalid/reviews:1"}]}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reviews"}, "spec": spec}
    kube.apply(service(), deployment, namespace=namespace)
    plays = [importing("rolling_update"), importing("replica_canary", share=[25, 50]), importing("bookinfo")]
    options = {"service": "reviews", "ns": namespace, "image": "shop.invalid/reviews:2"}
    played = play(plays, "--check", "--diff", seconds=600, bookinfo_namespace=f"{namespace[:60]}-x", **options)
    roles = {task.partition(" : ")[0] for task, _host, _result in played.tasks}
    assert {"meshops.canary.replica_canary", "meshops.canary.bookinfo"} <= roles
    found = kube.get("apps/v1", "Deployment", "reviews", namespace)
    assert found
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "shop.invalid/reviews:1"
