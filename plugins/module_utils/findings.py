# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of findings, each with a stable code. Pure; `docs/findings.md` is generated from CATALOGUE."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


class Kind(t.NamedTuple):
    """One entry of the catalogue.

    severity: error (writers refuse), warning (writers continue and report it) or note (only canary_info reports it).
    forcible: whether `force` can override the error; False where no plan can be made.
    """

    severity: str
    title: str
    remedy: str
    forcible: bool = True


PRESTOP_REMEDY: t.Final = (
    "Set lifecycle.preStop of the container to sleep: {seconds: 5} or more (before Kubernetes 1.30 to exec: "
    "{command: [sleep, '5']}), in a pod with a sidecar too, and terminationGracePeriodSeconds of the pod above that."
)

CATALOGUE: t.Final[dict[str, Kind]] = {
    # Raised while routes are planned.
    "HOST_CLAIMED_TWICE": Kind(
        "error",
        "Two VirtualServices claim one host for the mesh",
        "A sidecar applies only one of them. Merge them, or select one with the option virtual_services.",
        forcible=False,
    ),
    "HOST_CLAIM_CONTESTED": Kind(
        "warning",
        "Another VirtualService claims the host of the selected one",
        "Merge them. The sidecar of a caller that sees both applies only one of them.",
    ),
    "SUBSET_UNKNOWN": Kind(
        "error",
        "A version has no subset in a DestinationRule",
        "Create the subset first (role routing) and wait until the proxies have it. Otherwise requests fail with 503.",
        forcible=False,
    ),
    "SUBSET_LABELS_DIFFER": Kind(
        "error",
        "The existing subset of that name selects other pods",
        "Changing the labels of a subset in use loses requests. Use another version name, or edit the subset at "
        "weight 0.",
        forcible=False,
    ),
    "SUBSET_IN_USE": Kind(
        "error",
        "A route still uses the subset",
        "Set its weight to 0 or restore the original route, wait for the proxies, and then remove the subset.",
        forcible=False,
    ),
    "COHORT_MATCH_INEXPRESSIBLE": Kind(
        "error",
        "The matches of the cohort and of the route cannot be combined into one",
        "Use another header or exact values, or limit the cohort with the option routes to routes with compatible "
        "matches.",
        forcible=False,
    ),
    "DELEGATE_MATCH_CONFLICT": Kind(
        "error",
        "The root VirtualService would drop the cohort's route",
        "The match of the delegate must be compatible with the match of the root. Use a header that no root match "
        "tests.",
        forcible=False,
    ),
    "MIRROR_NOT_OURS": Kind(
        "error",
        "The route already mirrors to another destination with the field mirror, which allows only one",
        "Move the mirror into the field mirrors, which allows several, or remove it.",
        forcible=False,
    ),
    "STATE_UNREADABLE": Kind(
        "error",
        "The annotation with the original state was changed by another tool",
        "Restore the annotation from an earlier version of the object, or remove it and keep the routes as they are.",
        forcible=False,
    ),
    # Found by preflight, which reads the whole service.
    "ROUTE_APIS_MIXED": Kind(
        "error",
        "Two kinds of routes claim the service: VirtualService, HTTPRoute, GRPCRoute",
        "Proxies apply a part of them only. Keep one and delete the other, or give each a port of its own.",
    ),
    "SUBSET_NOT_READY": Kind(
        "error",
        "A version would receive requests but has no ready pod",
        "Wait until a pod is ready, or set the weight to 0. Otherwise requests to the version fail with 503.",
    ),
    "VERSION_PORT_UNKNOWN": Kind(
        "error",
        "A version would receive requests on a port that its Service does not have",
        "Give the Services of all versions the same ports, or the destination a port that the version's Service has. "
        "Otherwise requests to the version fail with 503.",
        forcible=False,
    ),
    "PODS_OF_TWO_VERSIONS": Kind(
        "error",
        "Two versions that are Services select the same pods, so the weights do not decide who answers",
        "Let the selector of each version's Service select the pods of that version only, such as by a label version.",
    ),
    "SUBSET_SELECTS_NO_POD": Kind(
        "warning",
        "A subset's labels match no pod",
        "This is normal before the version is deployed. Otherwise compare the labels of the subset and of the pods.",
    ),
    "ENDPOINT_CHOSEN_BY_CALLER": Kind(
        "error",
        "Proxies send each request to the address that the caller has resolved, whatever the weights",
        "Use a Service with a cluster IP, a ServiceEntry with another resolution than NONE, and another load balancer "
        "than PASSTHROUGH.",
    ),
    "ENDPOINT_UNKNOWN_TO_PROXIES": Kind(
        "error",
        "A version would receive requests, and proxies know no healthy endpoint of it",
        "Wait until its pods are ready, and check that its subset is visible to the callers that are named.",
    ),
    "BACKEND_NOT_PERMITTED": Kind(
        "error",
        "A gateway may not send to a version in another namespace",
        "Create a ReferenceGrant in the namespace of the Service that names the HTTPRoute's namespace and the Service. "
        "Otherwise requests fail with 500.",
    ),
    "HTTP_ROUTE_NOT_RESOLVED": Kind(
        "warning",
        "The parent of an HTTPRoute does not accept it, or does not resolve one of its backends",
        "Read the reason in status.parents of the HTTPRoute. Requests for a backend that is not resolved fail with "
        "500.",
    ),
    "HOST_NOT_COMPLETED": Kind(
        "warning",
        "A VirtualService names the host SERVICE.NAMESPACE, which Istio takes literally",
        "Write the short or the full name of the Service. Requests that use another name ignore the VirtualService.",
    ),
    "GATEWAY_NAME_OBSOLETE": Kind(
        "warning",
        "A VirtualService names its gateway NAME.NAMESPACE",
        "Write NAMESPACE/NAME, the form that istiod prefers.",
    ),
    "REVISION_NOT_RUNNING": Kind(
        "warning",
        "A routing object is labeled for a revision of Istio that does not run",
        "Remove the label istio.io/rev, or set it to the revision of istiod. Until then the object has no effect.",
    ),
    "HASH_WITHIN_VERSION": Kind(
        "warning",
        "A consistentHash keeps callers at a pod, but not at a version",
        "To keep users at their version, use canary_sticky. If they need not stay, do nothing.",
    ),
    "SINGLE_DESTINATION_AT_ZERO": Kind(
        "warning",
        "A route's only destination has weight 0",
        "A single destination receives every request, whatever its weight. Add the other destination, or remove the "
        "weight.",
    ),
    "DESTINATION_RULE_SHADOWED": Kind(
        "error",
        "A DestinationRule in the namespace of callers hides the subsets",
        "Remove it, or add the same subsets to it. For callers in that namespace, it replaces the rule of the service.",
    ),
    "DESTINATION_RULE_ELSEWHERE": Kind(
        "warning",
        "A DestinationRule in the namespace of callers replaces the one of the service",
        "It has the required subsets. Keep its labels and policies equal to those of the service's rule, or remove it.",
    ),
    "DESTINATION_RULE_PRIVATE": Kind(
        "warning",
        "Callers see the route but not the DestinationRule with its subsets",
        "Set the same exportTo on both. Requests of callers who see only the route fail with 503.",
    ),
    "HOST_BY_WILDCARD": Kind(
        "warning",
        "A VirtualService with a wildcard host routes the service in the mesh",
        "It is never edited, because it also routes other services. The role routing creates a VirtualService for the "
        "service alone, with the same routes, which replaces it for this service.",
    ),
    "HTTP_ROUTE_ELSEWHERE": Kind(
        "warning",
        "An HTTPRoute in the namespace of callers replaces the one of the service",
        "Requests of callers in that namespace do not use the weights of the service. Remove it, or set the same "
        "weights.",
    ),
    "GATEWAY_NOT_COVERED": Kind(
        "warning",
        "Requests through a gateway do not use the weights of the mesh",
        "Add the versions to the route of the gateway, or bind the VirtualService of the mesh to the gateway.",
    ),
    "PORT_NOT_HTTP": Kind(
        "error",
        "The port of the Service is not HTTP, so http routes have no effect",
        "Set appProtocol: http (or grpc) on the port of the Service, or split connections with tcp routes.",
    ),
    "PORT_NOT_SPLIT": Kind(
        "warning",
        "The routes leave out a port of the Service",
        "Requests to that port reach all versions by pod count, whatever the weights. Add a route for it, or remove "
        "match.port so that the route takes the requests of all ports.",
    ),
    "PORT_PROTOCOL_GUESSED": Kind(
        "warning",
        "The port of the Service declares no protocol",
        "Set appProtocol: http on the port of the Service, or use a port name that begins with http-.",
    ),
    "CALLER_WITHOUT_SIDECAR": Kind(
        "error",
        "A pod in the namespace of the service should have a sidecar but has none",
        "Restart its Deployment so that the sidecar is injected. Until then, its requests ignore all weights.",
    ),
    "PODS_OUTSIDE_MESH": Kind(
        "warning",
        "Pods in the namespace of the service are outside the mesh",
        "If they call the service, label the namespace istio-injection=enabled and restart them. Otherwise do nothing.",
    ),
    "AMBIENT_WITHOUT_WAYPOINT": Kind(
        "error",
        "The service is in ambient mode without a working waypoint",
        "Create a waypoint and enroll the service. Without one, weights and header routes have no effect on callers in "
        "ambient mode.",
    ),
    "WAYPOINT_NOT_WORKING": Kind(
        "warning",
        "The waypoint that the service names does not work",
        "Repair the waypoint, or remove the label istio.io/use-waypoint. Callers in ambient mode follow no routes.",
    ),
    "WAYPOINT_IGNORES_ROUTE": Kind(
        "error",
        "The waypoint of the service does not apply a route",
        "Move the route to the namespace of the service. A waypoint reads routes of that namespace and of its own.",
    ),
    "WAYPOINT_IGNORES_MATCH": Kind(
        "warning",
        "The waypoint of the service reads a match otherwise than a sidecar",
        "Match by headers or paths: a waypoint does not compare labels and namespaces of the caller.",
    ),
    "GATEWAY_ROUTES_AT_WAYPOINT": Kind(
        "warning",
        "Gateways send requests to the waypoint, which splits them anew",
        "Set the weights in the routes for the mesh, or remove the label istio.io/ingress-use-waypoint.",
    ),
    "OWNED_BY_CONTROLLER": Kind(
        "error",
        "A controller manages the object",
        "Shift traffic with that controller, or remove the object from its control first.",
    ),
    "REVERTED_BY_GITOPS": Kind(
        "error",
        "A GitOps tool reverts changes of the object",
        "Pause the tool for it during a rollout (pause_gitops), suspend it, or change the weights in Git.",
    ),
    "APPLIED_BY_TOOL": Kind(
        "warning",
        "A tool applies the object from Git or from a chart",
        "Its next run may revert the change. Update the manifest afterwards, or exclude the routes from it.",
    ),
    "GITOPS_PAUSED": Kind(
        "note",
        "A GitOps tool is paused for the object by a rollout",
        "The end of the rollout resumes it, or canary_handback with state: released. If no rollout is under way, run "
        "that module, or the playbook rollback.",
    ),
    "SCALED_BY_CONTROLLER": Kind(
        "warning",
        "A controller owns the autoscaler or the Deployment of a version",
        "Raise the minimum at its owner before the rollout, for KEDA minReplicaCount of the ScaledObject.",
    ),
    "HPA_WITHOUT_CPU_REQUEST": Kind(
        "warning",
        "An HPA scales by CPU, but its pods request no CPU",
        "Set a CPU request on every container, including the sidecar (annotation sidecar.istio.io/proxyCPU), or use a "
        "ContainerResource metric.",
    ),
    "HPA_NOT_SCALING": Kind(
        "warning",
        "An HPA reports that it cannot scale",
        "Read its conditions with kubectl describe hpa. Common causes are metrics-server and missing CPU requests.",
    ),
    "STABLE_NOT_SERVING": Kind(
        "error",
        "The stable version of a new rollout gets no requests",
        "Name as stable the version that serves now. The first step would move most requests at once, and a rollback "
        "would end on a version that served nobody.",
    ),
    "NOT_ENOUGH_REQUESTS": Kind(
        "warning",
        "A step of a rollout would not get enough requests for a verdict before its deadline",
        "Begin with a larger step, raise the deadline, wait for more traffic, or lower min_requests of the metrics.",
    ),
    "CAPACITY_BELOW_SHARE": Kind(
        "error",
        "A version has too few pods for its share",
        "Scale the version first, raise maxReplicas of its HPA, or use a smaller step.",
    ),
    "CAPACITY_NOT_YET": Kind(
        "warning",
        "The HPA of a version has not started the pods for its share yet",
        "Raise minReplicas before the shift, so that the pods are ready when the requests arrive.",
    ),
    "CAPACITY_OF_COHORT": Kind(
        "warning",
        "A version could not serve the share of a cohort if the cohort were large",
        "For a small group of testers, do nothing. If many requests match, scale the version first.",
    ),
    "UPDATE_ENDS_ALL_PODS": Kind(
        "error",
        "An update of the Deployment terminates all pods before it starts new ones",
        "Set strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0}} as the role versions does. If two "
        "versions must never run at the same time, force this code and expect an outage.",
    ),
    "UPDATE_SINKS_CAPACITY": Kind(
        "warning",
        "An update of the Deployment terminates pods before their replacements are ready",
        "Set maxUnavailable: 0 and maxSurge of at least 1 in strategy.rollingUpdate.",
    ),
    "READINESS_PROBE_MISSING": Kind(
        "warning",
        "Pods receive requests before they can serve them",
        "Add a readinessProbe to the container that passes when it can serve requests.",
    ),
    "PRESTOP_MISSING": Kind(
        "warning",
        "Pods may terminate while requests are still sent to them",
        PRESTOP_REMEDY,
    ),
    "PRESTOP_TOO_SHORT": Kind(
        "warning",
        "On busy nodes, pods terminate while requests are still sent to them",
        PRESTOP_REMEDY,
    ),
    "GRACE_PERIOD_TOO_SHORT": Kind(
        "warning",
        "Pods are killed before their preStop hook has finished",
        "Set terminationGracePeriodSeconds of the pod to the seconds of preStop plus the duration of the longest "
        "request.",
    ),
    "SESSION_AFFINITY": Kind(
        "warning",
        "The Service sends each caller to one pod",
        "The share is one of callers, not of connections. Set sessionAffinity: None while the canary runs to avoid "
        "that.",
    ),
    "CANARY_TEMPLATE_DIFFERS": Kind(
        "warning",
        "The canary's pods differ from the stable pods in more than the image",
        "Apply the differences to the stable Deployment before you promote, or recreate the canary (state: absent, "
        "then "
        "present). Only the image is promoted.",
    ),
    "PROMOTES_UNTESTED": Kind(
        "error",
        "The stable Deployment would run the new image with another pod template than the canary",
        "Make the pod templates of both Deployments equal, or recreate the canary from the stable Deployment (state: "
        "absent, then present) and observe it.",
    ),
    "VALIDATION_WEBHOOK_OFF": Kind(
        "warning",
        "Istio's validation webhook does not validate the routes",
        "Enable it in the installation of Istio (global.configValidation) and wait until failurePolicy is Fail.",
    ),
    "RIGHT_MISSING": Kind(
        "error",
        "The user lacks a right that the collection needs",
        "Add the verb to the Role of the user.",
        forcible=False,
    ),
    "RIGHT_MISSING_OPTIONAL": Kind(
        "warning",
        "The user lacks a right that some modules need, or that provides more evidence",
        "Add the verb to the Role of the user if the user needs it. docs/rights.md has a Role for each purpose.",
    ),
    "NOT_CHECKED": Kind(
        "note",
        "Some objects were not read, so they were not checked",
        "Grant the user the right to read them if you need the check.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """A problem that exists, or that would exist after the change.

    code: key of CATALOGUE. object: `Kind namespace/name`. reason: what is wrong with the object, in one sentence.
    remedy: what to do; empty for the text of the catalogue.
    """

    code: str
    object: str
    reason: str
    remedy: str = ""

    @property
    def severity(self) -> str:
        """Return error, warning or note."""
        return CATALOGUE[self.code].severity

    def as_dict(self) -> dict[str, str]:
        """Return the finding as tasks return it: code, severity, object, reason, remedy."""
        return {
            "code": self.code,
            "severity": self.severity,
            "object": self.object,
            "reason": self.reason,
            "remedy": self.remedy or CATALOGUE[self.code].remedy,
        }
