# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be broken in the sound `reviews` of a `Scene`: each function breaks one thing on the real API server."""

from __future__ import annotations

import typing as t

from .direct import ISTIO, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from .scene import Scene

GATEWAY_API = "gateway.networking.k8s.io/v1"
ARGO = "argoproj.io/v1alpha1"


def nothing(scene: Scene) -> None:
    pass


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


def of_flagger(scene: Scene) -> None:
    scene.write_as("flagger", "VirtualService")


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


def stopped_autoscaler(scene: Scene) -> None:
    """The controller itself says that it does not scale: its Deployment is at 0."""
    autoscaled_without_request(scene)

    def says_so() -> bool:
        found = scene.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "reviews-v1", scene.namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any((one["type"], one["status"]) == ("ScalingActive", "False") for one in conditions)

    scene.kube.wait_until(says_so, 60, "the autoscaler says that it does not scale")


def room_to_grow(scene: Scene) -> None:
    labels = {"app": "reviews", "version": "v2", "made-by": "deployment"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "none"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews-v2"}
    name = {"name": "reviews-v2"}
    scene.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec},
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": name,
            "spec": {"scaleTargetRef": target, "maxReplicas": 9},
        },
    )


def of_argo(scene: Scene) -> None:
    scene.edit("VirtualService", annotations={"argocd.argoproj.io/tracking-id": f"{scene.namespace}:x/y:a/b"})


def of_argo_that_heals(scene: Scene) -> None:
    """An Application with selfHeal; the API is as large as the test needs it."""
    of_argo(scene)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Application", "plural": "applications", "singular": "application", "listKind": "ApplicationList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "applications.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    application = {
        "apiVersion": ARGO,
        "kind": "Application",
        "metadata": {"name": scene.namespace},
        "spec": {"syncPolicy": {"automated": {"selfHeal": True}}},
    }
    scene.apply(definition)

    def stored() -> bool:
        try:
            scene.apply(application)
        except AssertionError:
            return False
        return True

    scene.kube.wait_until(stored, 30, "the API of Argo CD is served")


def routed_by_header(scene: Scene) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    match = [{"headers": {"end-user": {"regex": "a.*"}}}]
    scene.apply(virtual_service(http=[{"name": "some", "match": match, **route}]))


def delegated(scene: Scene) -> None:
    root = virtual_service(
        http=[{"match": [{"headers": {"end-user": {"exact": "ada"}}}], "delegate": {"name": "leaf"}}]
    )
    leaf = virtual_service(name="leaf")
    del leaf["spec"]["hosts"]
    scene.apply(root, leaf)


def mirrored(scene: Scene) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}], "mirror": {"host": "audit"}}
    scene.apply(virtual_service(http=[{"name": "all", **route}]))


def scribbled(scene: Scene) -> None:
    scene.edit("VirtualService", annotations={"canary.meshops.io/state": "restore me"})


def private_rule(scene: Scene) -> None:
    scene.kube.patch(ISTIO, "DestinationRule", "reviews", scene.namespace, {"spec": {"exportTo": ["."]}})


def by_wildcard(scene: Scene) -> None:
    scene.kube.delete(ISTIO, "VirtualService", "reviews", scene.namespace)
    route = {"route": [{"destination": {"host": "reviews"}}]}
    scene.apply(virtual_service(name="all", host=f"*.{scene.namespace}.svc.cluster.local", http=[route]))


def consumer_route(scene: Scene) -> None:
    scene.kube.delete(ISTIO, "VirtualService", "reviews", scene.namespace)
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": scene.namespace, "port": 9080}
    backend = {"name": "reviews", "namespace": scene.namespace, "port": 9080}
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}
    route = {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "reviews"}, "spec": spec}
    scene.apply(route, namespace=scene.elsewhere)
