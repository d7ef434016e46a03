# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The causes of findings: each function breaks one thing of a healthy `reviews` on the real API server."""

from __future__ import annotations

import typing as t

from .direct import ISTIO, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from .simulated import SimulatedService

GATEWAY_API = "gateway.networking.k8s.io/v1"
ARGO = "argoproj.io/v1alpha1"


def nothing(simulated: SimulatedService) -> None:
    pass


def second_claim(simulated: SimulatedService) -> None:
    simulated.apply(virtual_service(name="revews"))


def http_route_for_the_mesh(simulated: SimulatedService) -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    rules = [{"backendRefs": [{"name": "reviews", "port": 9080}]}]
    spec = {"parentRefs": [parent], "rules": rules}
    simulated.apply({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "reviews"}, "spec": spec})


def rule_of_the_callers_namespace(simulated: SimulatedService) -> None:
    simulated.apply(
        destination_rule(f"reviews.{simulated.namespace}.svc.cluster.local", ("v1",)), namespace=simulated.elsewhere
    )


def equal_rule_elsewhere(simulated: SimulatedService) -> None:
    simulated.apply(destination_rule(f"reviews.{simulated.namespace}.svc.cluster.local"), namespace=simulated.elsewhere)


def unready(simulated: SimulatedService) -> None:
    simulated.pod("reviews-v2-0", "reviews", "v2", ready=False)


def tcp_port(simulated: SimulatedService) -> None:
    declared = service()
    declared["spec"]["ports"][0]["appProtocol"] = "tcp"
    simulated.apply(declared)


def unnamed_port(simulated: SimulatedService) -> None:
    declared = service()
    declared["spec"]["ports"][0]["name"] = "web"
    simulated.apply(declared)


def port_without_route(simulated: SimulatedService) -> None:
    declared, routed = service(), virtual_service()
    declared["spec"]["ports"].append({"name": "http-admin", "port": 9081, "targetPort": 9081})
    routed["spec"]["http"][0]["match"] = [{"port": 9080}]
    simulated.apply(declared, routed)


def forgotten_sidecar(simulated: SimulatedService) -> None:
    simulated.label(istio_injection=None)
    simulated.pod("cart-0", "cart", "v1")
    simulated.label(istio_injection="enabled")


def chosen_to_be_outside(simulated: SimulatedService) -> None:
    metadata = {"name": "cart-0", "labels": {"sidecar.istio.io/inject": "false"}}
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "none"}]}
    simulated.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def ambient_without_waypoint(simulated: SimulatedService) -> None:
    simulated.label(istio__io___dataplane_mode="ambient")


def waypoint_that_is_not_there(simulated: SimulatedService) -> None:
    declared = service()
    declared["metadata"]["labels"] = {"istio.io/use-waypoint": "waypoint"}
    simulated.apply(declared)


def of_flagger(simulated: SimulatedService) -> None:
    simulated.write_as("flagger", "VirtualService")


def passed_through(simulated: SimulatedService) -> None:
    policy = {"trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}}
    simulated.kube.patch(ISTIO, "DestinationRule", "reviews", simulated.namespace, {"spec": policy})


def hashed(simulated: SimulatedService) -> None:
    policy = {"trafficPolicy": {"loadBalancer": {"consistentHash": {"httpCookie": {"name": "user", "ttl": "300s"}}}}}
    simulated.kube.patch(ISTIO, "DestinationRule", "reviews", simulated.namespace, {"spec": policy})


def _version(version: str, **spec: t.Any) -> dict[str, t.Any]:
    """Return the Service of a version, as destinations of VirtualServices and HTTPRoutes have them."""
    one = service()
    one["metadata"]["name"] = f"reviews-{version}"
    one["spec"]["selector"] = {"app": "reviews", "version": version}
    one["spec"].update(spec)
    return one


def _routed_to_services(simulated: SimulatedService, *versions: dict[str, t.Any]) -> None:
    destinations = [{"destination": {"host": "reviews-v1", "port": {"number": 9080}}}]
    simulated.kube.delete(ISTIO, "DestinationRule", "reviews", simulated.namespace)
    routed = virtual_service()
    routed["spec"]["http"] = [{"route": destinations}]
    simulated.apply(*versions, routed)


def service_with_another_port(simulated: SimulatedService) -> None:
    ports = [{"name": "http", "port": 8080}]
    _routed_to_services(simulated, _version("v1"), _version("v2", ports=ports))


def services_with_the_same_pods(simulated: SimulatedService) -> None:
    selector = {"app": "reviews"}
    _routed_to_services(simulated, _version("v1", selector=selector), _version("v2", selector=selector))


def shop_of_the_ingress_team(simulated: SimulatedService) -> None:
    """A gateway's HTTPRoute in another namespace, with a grant for the Service of v1 alone."""
    simulated.kube.delete(ISTIO, "VirtualService", "reviews", simulated.namespace)
    home = simulated.namespace
    backend = {"name": "reviews-v1", "namespace": home, "port": 9080}
    spec = {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [backend]}]}
    origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": simulated.elsewhere}
    grant = {"from": [origin], "to": [{"group": "", "kind": "Service", "name": "reviews-v1"}]}
    granted = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "shop"},
    }
    simulated.apply(_version("v1"), _version("v2"), {**granted, "spec": grant})
    route = {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "shop"}, "spec": spec}
    simulated.apply(route, namespace=simulated.elsewhere)


def host_with_a_namespace(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    simulated.apply(virtual_service(name="short", host=f"reviews.{simulated.namespace}", http=[route]))


def gateway_by_full_name(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    gateway = f"page.{simulated.namespace}.svc.cluster.local"
    simulated.apply(virtual_service(name="page", host="shop.example.com", gateways=[gateway], http=[route]))


def of_another_revision(simulated: SimulatedService) -> None:
    simulated.edit("VirtualService", labels={"istio.io/rev": "1-29-0"})


def of_rollouts(simulated: SimulatedService) -> None:
    simulated.edit("DestinationRule", annotations={"argo-rollouts.argoproj.io/managed-by-rollouts": "reviews"})


def of_flux(simulated: SimulatedService) -> None:
    name = "kustomize.toolkit.fluxcd.io"
    simulated.edit("VirtualService", labels={f"{name}/name": "apps", f"{name}/namespace": "flux-system"})


def of_helm(simulated: SimulatedService) -> None:
    simulated.edit("VirtualService", annotations={"meta.helm.sh/release-name": "shop"})


def gateway_without_versions(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews"}}]}
    page = virtual_service(name="page", host="shop.example.com", gateways=["page"], http=[route])
    simulated.apply(page)


def single_destination_at_zero(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 0}]}
    simulated.apply(virtual_service(http=[route]))


def autoscaled_without_request(simulated: SimulatedService) -> None:
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
        simulated.kube.delete("v1", "Pod", f"reviews-v1-{number}", simulated.namespace)
    simulated.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": name, "spec": scaling},
    )


def stopped_autoscaler(simulated: SimulatedService) -> None:
    """The controller itself says that it does not scale: its Deployment is at 0."""
    autoscaled_without_request(simulated)

    def says_so() -> bool:
        found = simulated.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "reviews-v1", simulated.namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any((one["type"], one["status"]) == ("ScalingActive", "False") for one in conditions)

    simulated.kube.wait_until(says_so, 60, "the autoscaler says that it does not scale")


def scaled_by_keda(simulated: SimulatedService) -> None:
    """KEDA marks its autoscalers so. Its owner reference to a ScaledObject would have the collector delete it here."""
    autoscaled_without_request(simulated)
    path = f"/apis/autoscaling/v2/namespaces/{simulated.namespace}/horizontalpodautoscalers/reviews-v1"
    labels = {"scaledobject.keda.sh/name": "reviews-v1", "app.kubernetes.io/managed-by": "keda-operator"}
    simulated.kube.request("PATCH", path, {"metadata": {"labels": labels}}, content_type="application/merge-patch+json")


def room_to_grow(simulated: SimulatedService) -> None:
    labels = {"app": "reviews", "version": "v2", "made-by": "deployment"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "none"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews-v2"}
    name = {"name": "reviews-v2"}
    simulated.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec},
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": name,
            "spec": {"scaleTargetRef": target, "maxReplicas": 9},
        },
    )


def of_argo(simulated: SimulatedService) -> None:
    simulated.edit("VirtualService", annotations={"argocd.argoproj.io/tracking-id": f"{simulated.namespace}:x/y:a/b"})


def of_argo_that_heals(simulated: SimulatedService) -> None:
    """An Application with selfHeal; the API is as large as the test needs it."""
    of_argo(simulated)
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
        "metadata": {"name": simulated.namespace},
        "spec": {"syncPolicy": {"automated": {"selfHeal": True}}},
    }
    simulated.apply(definition)

    def stored() -> bool:
        try:
            simulated.apply(application)
        except AssertionError:
            return False
        return True

    simulated.kube.wait_until(stored, 30, "the API of Argo CD is served")


def routed_by_header(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    match = [{"headers": {"end-user": {"regex": "a.*"}}}]
    simulated.apply(virtual_service(http=[{"name": "some", "match": match, **route}]))


def delegated(simulated: SimulatedService) -> None:
    root = virtual_service(
        http=[{"match": [{"headers": {"end-user": {"exact": "ada"}}}], "delegate": {"name": "leaf"}}]
    )
    leaf = virtual_service(name="leaf")
    del leaf["spec"]["hosts"]
    simulated.apply(root, leaf)


def mirrored(simulated: SimulatedService) -> None:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}], "mirror": {"host": "audit"}}
    simulated.apply(virtual_service(http=[{"name": "all", **route}]))


def scribbled(simulated: SimulatedService) -> None:
    simulated.edit("VirtualService", annotations={"canary.meshops.io/state": "restore me"})


def private_rule(simulated: SimulatedService) -> None:
    simulated.kube.patch(ISTIO, "DestinationRule", "reviews", simulated.namespace, {"spec": {"exportTo": ["."]}})


def by_wildcard(simulated: SimulatedService) -> None:
    simulated.kube.delete(ISTIO, "VirtualService", "reviews", simulated.namespace)
    route = {"route": [{"destination": {"host": "reviews"}}]}
    simulated.apply(virtual_service(name="all", host=f"*.{simulated.namespace}.svc.cluster.local", http=[route]))


def consumer_route(simulated: SimulatedService) -> None:
    simulated.kube.delete(ISTIO, "VirtualService", "reviews", simulated.namespace)
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": simulated.namespace, "port": 9080}
    backend = {"name": "reviews", "namespace": simulated.namespace, "port": 9080}
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}
    route = {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "reviews"}, "spec": spec}
    simulated.apply(route, namespace=simulated.elsewhere)
