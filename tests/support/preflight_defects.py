# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Defects of a healthy service, for the tests of preflight: each function adds one to the lists it is given."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan

from support import ambient_defects, reviews
from support.reviews import NAMESPACE, changed, obj

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.meshops.canary.plugins.module_utils.findings import Finding

Lists = dict[str, t.Any]
SERVICE = ServiceRef("reviews", NAMESPACE)


def inspect(lists: Lists, **arguments: t.Any) -> list[Finding]:
    """Return what preflight finds in the lists."""
    return inspection.inspect(Snapshot(**lists), SERVICE, **arguments)


def inspect_weights(lists: Lists, weights: Mapping[str, float]) -> list[Finding]:
    """Return what preflight finds when the weights would be set."""
    snapshot = Snapshot(**lists)
    return inspect(lists, planned=snapshot.after(plan.plan(snapshot, SERVICE, intents.SetWeights(weights)).changes))


def codes(findings: list[Finding]) -> list[str]:
    """Return the findings' codes, in their order."""
    return [finding.code for finding in findings]


def second_claim(lists: Lists) -> None:
    lists["virtual_services"].append(reviews.virtual_service(weights={"v1": 100}, name="revews"))


def private_second_claim(lists: Lists) -> None:
    lists["virtual_services"].append(
        reviews.virtual_service("other", {"v1": 100}, exportTo=["."], hosts=[SERVICE.fqdn])
    )


def http_route_for_the_mesh(lists: Lists) -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    frame = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "reviews", NAMESPACE)
    lists["http_routes"].append({**frame, "spec": {"parentRefs": [parent], "rules": []}})


def missing_subset(lists: Lists) -> None:
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 90, "v3": 10})]


def unready_version(lists: Lists) -> None:
    lists["pods"][3] = reviews.pod("reviews-v2-a", {"app": "reviews", "version": "v2"}, ready=False)
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    lists["pods"][3]["status"]["containerStatuses"] = [{"name": "app", "state": waiting}]


def headless(lists: Lists) -> None:
    lists["services"][0]["spec"]["clusterIP"] = "None"


def headless_behind_gateways_only(lists: Lists) -> None:
    headless(lists)
    lists["virtual_services"] = [reviews.virtual_service(hosts=["shop.example.com"], gateways=["page"])]


def passed_through(**policy: t.Any) -> Callable[[Lists], None]:
    def defect(lists: Lists) -> None:
        lists["destination_rules"][0]["spec"]["trafficPolicy"] = policy

    return defect


def subset_passed_through(lists: Lists) -> None:
    lists["destination_rules"][0]["spec"]["subsets"][1]["trafficPolicy"] = {"loadBalancer": {"simple": "PASSTHROUGH"}}


def passed_through_but_for_its_subsets(lists: Lists) -> None:
    passed_through(loadBalancer={"simple": "PASSTHROUGH"})(lists)
    for subset in lists["destination_rules"][0]["spec"]["subsets"]:
        subset["trafficPolicy"] = {"loadBalancer": {"simple": "RANDOM"}}


def service_entry_by_address(lists: Lists) -> None:
    frame = obj("networking.istio.io/v1", "ServiceEntry", "reviews", NAMESPACE)
    lists["service_entries"] = [{**frame, "spec": {"hosts": [SERVICE.fqdn], "ports": []}}]


def service_entry_with_endpoints(lists: Lists) -> None:
    service_entry_by_address(lists)
    lists["service_entries"][0]["spec"]["resolution"] = "STATIC"


def shop_of_the_ingress_team(*permitted: str) -> Callable[[Lists], None]:
    """An HTTPRoute of a gateway in another namespace, and a grant that names the Services, or all of them."""

    def defect(lists: Lists) -> None:
        lists["services"] += [changed(reviews.service(), metadata={"name": f"reviews-{one}"}) for one in ("v1", "v2")]
        frame = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "ingress")
        backends = [{"name": f"reviews-{one}", "namespace": NAMESPACE, "port": 9080} for one in ("v1", "v2")]
        lists["http_routes"].append(
            {**frame, "spec": {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": backends}]}}
        )
        origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "ingress"}
        targets = [{"group": "", "kind": "Service", **({"name": one} if one else {})} for one in permitted]
        grant = obj("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "ingress", NAMESPACE)
        lists["reference_grants"] = [{**grant, "spec": {"from": [origin], "to": targets}}]

    return defect


def grant_for_another_namespace(lists: Lists) -> None:
    shop_of_the_ingress_team("")(lists)
    lists["reference_grants"][0]["spec"]["from"][0]["namespace"] = "elsewhere"


def backend_not_resolved(lists: Lists) -> None:
    http_route_for_the_mesh(lists)
    lists["virtual_services"] = []
    parent = {"kind": "Service", "name": "reviews"}
    condition = {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "none"}
    lists["http_routes"][0]["status"] = {"parents": [{"parentRef": parent, "conditions": [condition]}]}


def host_with_a_namespace(lists: Lists) -> None:
    lists["virtual_services"].append(reviews.virtual_service(name="short", hosts=["reviews.bookinfo"]))


def gateway_by_full_name(lists: Lists) -> None:
    route = {"route": [reviews.destination("v1")]}
    gateways = ["page.bookinfo.svc.cluster.local"]
    lists["virtual_services"].append(
        reviews.virtual_service(name="page", hosts=["shop.example.com"], gateways=gateways, http=[route])
    )


def of_another_revision(lists: Lists) -> None:
    labeled = changed(reviews.virtual_service(name="next"), metadata={"labels": {"istio.io/rev": "next"}})
    lists["ignored"] = [labeled]


def subset_before_its_pods(lists: Lists) -> None:
    lists["destination_rules"] = [reviews.destination_rule(versions=("v1", "v2", "v3"))]


def single_destination_at_zero(lists: Lists) -> None:
    lists["virtual_services"] = [reviews.virtual_service(weights={"v2": 0})]


def rule_of_the_callers_namespace(lists: Lists) -> None:
    lists["destination_rules"].append(reviews.destination_rule("shop", ("v1",), host="*.bookinfo.svc.cluster.local"))


def equal_rule_elsewhere(lists: Lists) -> None:
    lists["destination_rules"].append(reviews.destination_rule("shop", host=SERVICE.fqdn))


def rule_for_another_host_elsewhere(lists: Lists) -> None:
    lists["destination_rules"].append(reviews.destination_rule("shop", host="reviews"))


def gateway_without_versions(lists: Lists) -> None:
    route = {"route": [reviews.destination(None)]}
    lists["virtual_services"].append(
        reviews.virtual_service(name="page", hosts=["shop.example.com"], gateways=["page"], http=[route])
    )


def http_route_of_a_gateway(lists: Lists) -> None:
    frame = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "page", NAMESPACE)
    rules = [{"backendRefs": [{"name": "reviews", "port": 9080}]}]
    lists["http_routes"].append({**frame, "spec": {"parentRefs": [{"name": "page"}], "rules": rules}})


def tcp_port(lists: Lists) -> None:
    lists["services"] = [reviews.service(name="tcp-reviews")]


def unnamed_port(lists: Lists) -> None:
    lists["services"] = [reviews.service(name="reviews")]


def second_port(*matched: int, protocol: str = "http") -> Callable[[Lists], None]:
    """Return the defect of a second port; matched: the ports that the route is for, none for all."""

    def change(lists: Lists) -> None:
        lists["services"][0]["spec"]["ports"].append({"name": f"{protocol}-admin", "port": 9081})
        if matched:
            lists["virtual_services"][0]["spec"]["http"][0]["match"] = [{"port": port} for port in matched]

    return change


def port_with_app_protocol(lists: Lists) -> None:
    lists["services"] = [reviews.service(name="tcp-reviews", appProtocol="http")]


def forgotten_sidecar(lists: Lists) -> None:
    lists["pods"].append(reviews.pod("cart-a", {"app": "cart"}, sidecar=False))


def finished_job_without_sidecar(lists: Lists) -> None:
    job = reviews.pod("job-a", {"app": "job"}, sidecar=False, ready=False)
    lists["pods"].append(changed(job, status={"phase": "Succeeded"}))


def chosen_to_be_outside(lists: Lists) -> None:
    lists["pods"].append(reviews.pod("cart-a", {"app": "cart", "sidecar.istio.io/inject": "false"}, sidecar=False))


def native_sidecar(lists: Lists) -> None:
    pod = reviews.pod("cart-a", {"app": "cart"}, sidecar=False)
    pod["spec"]["initContainers"] = [{"name": "istio-proxy", "restartPolicy": "Always"}]
    lists["pods"].append(pod)


def private_rule_of_a_public_route(lists: Lists) -> None:
    lists["destination_rules"][0]["spec"]["exportTo"] = ["."]


def private_rule_of_a_private_route(lists: Lists) -> None:
    private_rule_of_a_public_route(lists)
    lists["virtual_services"][0]["spec"]["exportTo"] = ["."]


def private_rule_behind_a_gateway(lists: Lists) -> None:
    private_rule_of_a_private_route(lists)
    entry = {"destination": {"host": "reviews.bookinfo.svc.cluster.local", "subset": "v1"}}
    spec = {"hosts": ["shop.example.com"], "gateways": ["edge"], "http": [{"route": [entry]}]}
    lists["virtual_services"].append(reviews.virtual_service(name="edge", **spec))


def ends_at_once(lists: Lists) -> None:
    lists["deployments"][0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {}


def ends_too_soon(lists: Lists) -> None:
    shutdown = {"preStop": {"sleep": {"seconds": 0}}}
    lists["deployments"][0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = shutdown


def ends_before_its_hook(lists: Lists) -> None:
    lists["deployments"][0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 3


def routed_by_wildcard(lists: Lists) -> None:
    lists["virtual_services"] = [reviews.virtual_service(name="all", hosts=["*.bookinfo.svc.cluster.local"])]


def consumer_route(lists: Lists) -> None:
    lists["virtual_services"], lists["destination_rules"] = [], []
    http_route_for_the_mesh(lists)
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": NAMESPACE}
    frame = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "reviews", "shop")
    lists["http_routes"].append({**frame, "spec": {"parentRefs": [parent], "rules": []}})


def of_virtual_service(**metadata: t.Any) -> Callable[[Lists], None]:
    def defect(lists: Lists) -> None:
        lists["virtual_services"] = [changed(reviews.virtual_service(), metadata=metadata)]

    return defect


def of_destination_rule(**metadata: t.Any) -> Callable[[Lists], None]:
    def defect(lists: Lists) -> None:
        lists["destination_rules"] = [changed(reviews.destination_rule(), metadata=metadata)]

    return defect


def subset_by_rollout_hash(lists: Lists) -> None:
    lists["destination_rules"][0]["spec"]["subsets"].append(
        {"name": "v9", "labels": {"rollouts-pod-template-hash": "6f"}}
    )


def owner(kind: str, version: str, *, controller: bool = True) -> Callable[[Lists], None]:
    reference = {"apiVersion": version, "kind": kind, "name": "reviews", "controller": controller}
    return of_virtual_service(ownerReferences=[reference])


def managed_by(manager: str) -> Callable[[Lists], None]:
    return of_virtual_service(managedFields=[{"manager": manager, "operation": "Update"}])


FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def sidecar_without_request(lists: Lists) -> None:
    lists["pods"][0]["spec"]["containers"][1]["resources"] = {}


def container_metric_needs_one_request(lists: Lists) -> None:
    sidecar_without_request(lists)
    target = {"averageUtilization": 50}
    metric = {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": target}}
    lists["hpas"][0]["spec"]["metrics"] = [metric]


def hpa_of_keda(lists: Lists) -> None:
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "reviews-v2", "controller": True}
    lists["hpas"] = [changed(reviews.hpa("reviews-v2"), metadata={"ownerReferences": [owner]})]


def hpa_that_cannot_scale(lists: Lists) -> None:
    condition = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "no metrics",
    }
    lists["hpas"][1]["status"]["conditions"] = [condition]


def _versions_are_services(lists: Lists, first: Lists, second: Lists) -> None:
    """Route to a Service for each version; first, second: the fields of their specs that differ from usual ones."""
    entries = [reviews.destination(None, weight, f"reviews-{name}") for name, weight in (("v1", 90), ("v2", 10))]
    lists["virtual_services"] = [changed(reviews.virtual_service(), spec={"http": [{"route": entries}]})]
    lists["destination_rules"] = []
    for name, differing in (("v1", first), ("v2", second)):
        spec = {"selector": {"app": "reviews", "version": name}, **differing}
        lists["services"].append(changed(reviews.service(), metadata={"name": f"reviews-{name}"}, spec=spec))


def versions_with_the_same_pods(lists: Lists) -> None:
    _versions_are_services(lists, {}, {"selector": {"app": "reviews"}})


def version_without_the_port(lists: Lists) -> None:
    ports = [{"port": port, "name": f"http-{port}"} for port in (81, 82)]
    _versions_are_services(lists, {}, {"ports": ports})


TABLE: tuple[tuple[Callable[[Lists], None], list[str]], ...] = (
    (second_claim, ["HOST_CLAIMED_TWICE", "HOST_CLAIMED_TWICE"]),
    (private_second_claim, ["HOST_CLAIMED_TWICE", "HOST_CLAIMED_TWICE"]),
    (http_route_for_the_mesh, ["ROUTE_APIS_MIXED"]),
    (missing_subset, ["SUBSET_UNKNOWN"]),
    (versions_with_the_same_pods, ["PODS_OF_TWO_VERSIONS"]),
    (version_without_the_port, ["VERSION_PORT_UNKNOWN"]),
    (unready_version, ["SUBSET_NOT_READY"]),
    (headless, ["ENDPOINT_CHOSEN_BY_CALLER"]),
    (headless_behind_gateways_only, []),
    (passed_through(loadBalancer={"simple": "PASSTHROUGH"}), ["ENDPOINT_CHOSEN_BY_CALLER"]),
    (passed_through(loadBalancer={"simple": "RANDOM"}), []),
    (
        passed_through(portLevelSettings=[{"port": {"number": 9080}, "loadBalancer": {"simple": "PASSTHROUGH"}}]),
        ["ENDPOINT_CHOSEN_BY_CALLER"],
    ),
    (subset_passed_through, ["ENDPOINT_CHOSEN_BY_CALLER"]),
    (passed_through_but_for_its_subsets, []),
    (service_entry_by_address, ["ENDPOINT_CHOSEN_BY_CALLER"]),
    (service_entry_with_endpoints, []),
    (passed_through(loadBalancer={"consistentHash": {"httpCookie": {"name": "user"}}}), ["HASH_WITHIN_VERSION"]),
    (shop_of_the_ingress_team("reviews-v1"), ["BACKEND_NOT_PERMITTED"]),
    (shop_of_the_ingress_team("reviews-v1", "reviews-v2"), []),
    (shop_of_the_ingress_team(""), []),
    (grant_for_another_namespace, ["BACKEND_NOT_PERMITTED"]),
    (backend_not_resolved, ["HTTP_ROUTE_NOT_RESOLVED"]),
    (host_with_a_namespace, ["HOST_NOT_COMPLETED"]),
    (gateway_by_full_name, ["GATEWAY_NAME_OBSOLETE"]),
    (of_another_revision, ["REVISION_NOT_RUNNING"]),
    (subset_before_its_pods, ["SUBSET_SELECTS_NO_POD"]),
    (single_destination_at_zero, ["SINGLE_DESTINATION_AT_ZERO"]),
    (rule_of_the_callers_namespace, ["DESTINATION_RULE_SHADOWED"]),
    (equal_rule_elsewhere, ["DESTINATION_RULE_ELSEWHERE"]),
    (rule_for_another_host_elsewhere, []),
    (gateway_without_versions, ["GATEWAY_NOT_COVERED"]),
    (http_route_of_a_gateway, ["GATEWAY_NOT_COVERED"]),
    (tcp_port, ["PORT_NOT_HTTP"]),
    (unnamed_port, ["PORT_PROTOCOL_GUESSED"]),
    (port_with_app_protocol, []),
    (second_port(), []),
    (second_port(9080), ["PORT_NOT_SPLIT"]),
    (second_port(9080, 9081), []),
    (second_port(9080, protocol="tcp"), []),
    (forgotten_sidecar, ["CALLER_WITHOUT_SIDECAR"]),
    (finished_job_without_sidecar, []),
    (chosen_to_be_outside, ["PODS_OUTSIDE_MESH"]),
    (native_sidecar, []),
    *ambient_defects.TABLE,
    (private_rule_of_a_public_route, ["DESTINATION_RULE_PRIVATE"]),
    (private_rule_of_a_private_route, []),
    (private_rule_behind_a_gateway, ["DESTINATION_RULE_PRIVATE"]),
    (ends_at_once, ["PRESTOP_MISSING"]),
    (ends_too_soon, ["PRESTOP_TOO_SHORT"]),
    (ends_before_its_hook, ["GRACE_PERIOD_TOO_SHORT"]),
    (routed_by_wildcard, ["HOST_BY_WILDCARD"]),
    (consumer_route, ["HTTP_ROUTE_ELSEWHERE"]),
    (owner("Canary", "flagger.app/v1beta1"), ["OWNED_BY_CONTROLLER"]),
    (owner("Rollout", "argoproj.io/v1alpha1"), ["OWNED_BY_CONTROLLER"]),
    (owner("Platform", "example.com/v1"), ["OWNED_BY_CONTROLLER"]),
    (owner("Platform", "example.com/v1", controller=False), []),
    (managed_by("rollouts-controller"), ["OWNED_BY_CONTROLLER"]),
    (managed_by("flagger"), ["OWNED_BY_CONTROLLER"]),
    (managed_by("kubectl-edit"), []),
    (
        of_destination_rule(annotations={"argo-rollouts.argoproj.io/managed-by-rollouts": "reviews"}),
        ["OWNED_BY_CONTROLLER"],
    ),
    (subset_by_rollout_hash, ["OWNED_BY_CONTROLLER", "SUBSET_SELECTS_NO_POD"]),
    (of_virtual_service(annotations={"argocd.argoproj.io/tracking-id": "shop:..."}), ["APPLIED_BY_TOOL"]),
    (managed_by("argocd-controller"), ["APPLIED_BY_TOOL"]),
    (of_virtual_service(labels=FLUX), ["REVERTED_BY_GITOPS"]),
    (
        of_virtual_service(
            labels=FLUX,
            annotations={"canary.meshops.io/gitops-pause": '{"services": ["bookinfo/reviews"], "tool": "Flux"}'},
        ),
        ["GITOPS_PAUSED"],
    ),
    (
        of_virtual_service(labels=FLUX, annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}),
        ["APPLIED_BY_TOOL"],
    ),
    (of_destination_rule(labels={"helm.toolkit.fluxcd.io/name": "shop"}), ["APPLIED_BY_TOOL"]),
    (of_virtual_service(annotations={"meta.helm.sh/release-name": "shop"}), ["APPLIED_BY_TOOL"]),
    (sidecar_without_request, ["HPA_WITHOUT_CPU_REQUEST"]),
    (container_metric_needs_one_request, []),
    (hpa_that_cannot_scale, ["HPA_NOT_SCALING"]),
    (hpa_of_keda, ["SCALED_BY_CONTROLLER"]),
)
"""A defect -> the codes that preflight finds then, without a planned change."""
