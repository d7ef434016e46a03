# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fixture for each finding on the real API server: told with its code, and where it is an error nothing is written.

The pods are real objects that no scheduler takes; their status is set by the test, as a kubelet would (`Scene`).
"""

from __future__ import annotations

import typing as t

import pytest
from support.direct import Direct, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from support.lab import Lab
    from support.scene import Scene

GATEWAY_API = "gateway.networking.k8s.io/v1"


def second_claim(scene: Scene) -> None:
    scene.apply(virtual_service(name="revews"))


def http_route_for_the_mesh(scene: Scene) -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    rules = [{"backendRefs": [{"name": "reviews", "port": 9080}]}]
    spec = {"parentRefs": [parent], "rules": rules}
    scene.apply({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "reviews"}, "spec": spec})


def rule_of_the_callers_namespace(scene: Scene) -> None:
    scene.apply(destination_rule(f"reviews.{scene.namespace}.svc.cluster.local", ("v1",)), namespace=scene.elsewhere)


def equal_rule_elsewhere(scene: Scene) -> None:
    scene.apply(destination_rule(f"reviews.{scene.namespace}.svc.cluster.local"), namespace=scene.elsewhere)


def unready(scene: Scene) -> None:
    scene.pod("reviews-v2-0", "reviews", "v2", ready=False)


def tcp_port(scene: Scene) -> None:
    declared = service()
    declared["spec"]["ports"][0]["appProtocol"] = "tcp"
    scene.apply(declared)


def unnamed_port(scene: Scene) -> None:
    declared = service()
    declared["spec"]["ports"][0]["name"] = "web"
    scene.apply(declared)


def forgotten_sidecar(scene: Scene) -> None:
    scene.label(istio_injection=None)
    scene.pod("cart-0", "cart", "v1")
    scene.label(istio_injection="enabled")


def chosen_to_be_outside(scene: Scene) -> None:
    metadata = {"name": "cart-0", "labels": {"sidecar.istio.io/inject": "false"}}
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "none"}]}
    scene.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def ambient_without_waypoint(scene: Scene) -> None:
    scene.label(istio__io___dataplane_mode="ambient")


def of_rollouts(scene: Scene) -> None:
    scene.edit("DestinationRule", annotations={"argo-rollouts.argoproj.io/managed-by-rollouts": "reviews"})


def of_flux(scene: Scene) -> None:
    name = "kustomize.toolkit.fluxcd.io"
    scene.edit("VirtualService", labels={f"{name}/name": "apps", f"{name}/namespace": "flux-system"})


def of_helm(scene: Scene) -> None:
    scene.edit("VirtualService", annotations={"meta.helm.sh/release-name": "shop"})


def gateway_without_versions(scene: Scene) -> None:
    route = {"route": [{"destination": {"host": "reviews"}}]}
    page = virtual_service(name="page", host="shop.example.com", gateways=["page"], http=[route])
    scene.apply(page)


def single_destination_at_zero(scene: Scene) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 0}]}
    scene.apply(virtual_service(http=[route]))


def autoscaled_without_request(scene: Scene) -> None:
    labels = {"app": "reviews", "version": "v1"}
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "none"}]}},
    }
    target = {"type": "Utilization", "averageUtilization": 50}
    scaling = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews-v1"},
        "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    name = {"name": "reviews-v1"}
    for number in range(3):
        scene.kube.delete("v1", "Pod", f"reviews-v1-{number}", scene.namespace)
    scene.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": name, "spec": scaling},
    )


def nothing(scene: Scene) -> None:
    pass


SHIFT = {"v1": 75, "v2": 25}
WRITING = {"create", "update", "patch", "delete"}
REFUSED: tuple[tuple[Callable[[Scene], None], dict[str, int], str], ...] = (
    (second_claim, SHIFT, "HOST_CLAIMED_TWICE"),
    (http_route_for_the_mesh, SHIFT, "ROUTE_APIS_MIXED"),
    (nothing, {"v1": 75, "v9": 25}, "SUBSET_UNKNOWN"),
    (nothing, {"v1": 75, "v3": 25}, "SUBSET_NOT_READY"),
    (unready, SHIFT, "SUBSET_NOT_READY"),
    (nothing, {"v2": 100}, "CAPACITY_BELOW_SHARE"),
    (rule_of_the_callers_namespace, SHIFT, "DESTINATION_RULE_SHADOWED"),
    (tcp_port, SHIFT, "PORT_NOT_HTTP"),
    (forgotten_sidecar, SHIFT, "CALLER_WITHOUT_SIDECAR"),
    (ambient_without_waypoint, SHIFT, "AMBIENT_WITHOUT_WAYPOINT"),
    (of_rollouts, SHIFT, "OWNED_BY_CONTROLLER"),
    (of_flux, SHIFT, "REVERTED_BY_GITOPS"),
)
TOLD: tuple[tuple[Callable[[Scene], None], str], ...] = (
    (nothing, "SUBSET_SELECTS_NO_POD"),
    (single_destination_at_zero, "SINGLE_DESTINATION_AT_ZERO"),
    (equal_rule_elsewhere, "DESTINATION_RULE_ELSEWHERE"),
    (gateway_without_versions, "GATEWAY_NOT_COVERED"),
    (unnamed_port, "PORT_PROTOCOL_GUESSED"),
    (chosen_to_be_outside, "PODS_OUTSIDE_MESH"),
    (of_helm, "APPLIED_BY_TOOL"),
    (autoscaled_without_request, "HPA_WITHOUT_CPU_REQUEST"),
)


def named(case: t.Any) -> str:
    return case if isinstance(case, str) else getattr(case, "__name__", "")


@pytest.mark.parametrize(("prepare", "weights", "code"), REFUSED, ids=named)
def test_an_error_is_refused_with_its_code_and_nothing_is_written(
    lab: Lab, direct: Direct, scene: Scene, prepare: Callable[[Scene], None], weights: dict[str, int], code: str
) -> None:
    prepare(scene)
    result = direct("weight", weights=weights, wait=False, fails=True)
    assert result["changed"] is False
    assert code in {one["code"] for one in result["findings"] if one["severity"] == "error"}
    assert "meshops.canary" not in writers(lab, scene)


@pytest.mark.parametrize(("prepare", "weights", "code"), REFUSED[5:], ids=named)
def test_force_names_what_it_overrides(
    direct: Direct, scene: Scene, prepare: Callable[[Scene], None], weights: dict[str, int], code: str
) -> None:
    prepare(scene)
    result = direct("weight", weights=weights, wait=False, force=[code])
    assert result["changed"] is True
    assert any(warning.startswith(f"{code}: ") for warning in result["warnings"])


def test_who_names_one_of_two_claimants_may_go_on(direct: Direct, scene: Scene) -> None:
    second_claim(scene)
    result = direct("weight", weights=SHIFT, wait=False, virtual_services=["reviews"])
    assert result["changed"] is True
    assert any(warning.startswith("HOST_CLAIM_CONTESTED: ") for warning in result["warnings"])


def test_what_cannot_be_planned_cannot_be_forced(lab: Lab, direct: Direct, scene: Scene) -> None:
    second_claim(scene)
    result = direct("weight", weights=SHIFT, wait=False, force=["HOST_CLAIMED_TWICE"], fails=True)
    assert result["error_code"] == "invalid_input"
    assert "name the one you mean with virtual_services" in result["msg"]
    assert "meshops.canary" not in writers(lab, scene)


@pytest.mark.parametrize(("prepare", "code"), TOLD, ids=named)
def test_a_warning_is_told(direct: Direct, scene: Scene, prepare: Callable[[Scene], None], code: str) -> None:
    prepare(scene)
    (told,) = direct("info", measure="none", proxies=False)["services"]
    assert code in {one["code"] for one in told["findings"] if one["severity"] == "warning"}


def writers(lab: Lab, scene: Scene) -> set[str]:
    """Return the programs that wrote in the test's namespace, by the API server's audit log; the test is one itself."""
    found = {event["userAgent"] for event in lab.audited(scene.namespace) if event["verb"] in WRITING}
    assert found, "the audit log must know at least of what this test has written itself"
    return found


def test_a_sound_service_is_free_of_errors_and_can_be_shifted(lab: Lab, direct: Direct, scene: Scene) -> None:
    (told,) = direct("info", measure="none", proxies=False)["services"]
    assert [one for one in told["findings"] if one["severity"] == "error"] == []
    assert direct("weight", weights=SHIFT, wait=False)["changed"] is True
    assert "meshops.canary" in writers(lab, scene)


def test_requests_can_always_be_taken_off_a_broken_version(direct: Direct, scene: Scene) -> None:
    direct("weight", weights=SHIFT, wait=False)
    unready(scene)
    assert direct("weight", weights={"v1": 100}, wait=False)["changed"] is True
