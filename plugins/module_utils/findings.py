# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight can find, each with a stable code. Pure; `docs/findings.md` is generated from CATALOGUE."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


class Kind(t.NamedTuple):
    """One line of the catalogue.

    severity: error (writers refuse), warning (writers go on and say it) or note (only preflight and info say it).
    forcible: whether `force` can override the error; not where no plan can be made.
    """

    severity: str
    title: str
    remedy: str
    forcible: bool = True


CATALOGUE: t.Final[dict[str, Kind]] = {
    # Raised while planning routes.
    "HOST_CLAIMED_TWICE": Kind(
        "error",
        "Two VirtualServices claim one host for the mesh",
        "A sidecar obeys only one of them. Merge them into one, or name the one you mean with virtual_services.",
        forcible=False,
    ),
    "HOST_CLAIM_CONTESTED": Kind(
        "warning",
        "Another VirtualService claims the host of the one that was named",
        "Merge the two: callers that see both obey only one of them.",
    ),
    "SUBSET_UNKNOWN": Kind(
        "error",
        "A version has no subset in a DestinationRule",
        "Create the subset first (role routing) and wait until the proxies have it; else requests get 503.",
        forcible=False,
    ),
    "SUBSET_LABELS_DIFFER": Kind(
        "error",
        "A subset of that name selects other pods",
        "Relabelling a live subset loses requests. Use another version name, or change the subset by hand at weight 0.",
        forcible=False,
    ),
    "SUBSET_IN_USE": Kind(
        "error",
        "A route still names the subset",
        "Set its weight to 0 or give the route back first, wait for the proxies, then remove the subset.",
        forcible=False,
    ),
    "COHORT_MATCH_UNANSWERABLE": Kind(
        "error",
        "Cohort and route both test one thing, and no single test says both",
        "Choose another header, or exact values; or limit the cohort with routes to those it can stand before.",
        forcible=False,
    ),
    "DELEGATE_MATCH_CONFLICT": Kind(
        "error",
        "The root VirtualService would drop the cohort's route",
        "The delegate's match must fit the root's. Choose another header, or add the header to no root match.",
        forcible=False,
    ),
    "MIRROR_NOT_OURS": Kind(
        "error",
        "The route already mirrors somewhere else, in the form that allows one mirror only",
        "Rewrite the route's mirror as an entry of mirrors, which allows several, or remove it.",
        forcible=False,
    ),
    "STATE_UNREADABLE": Kind(
        "error",
        "The annotation with what to give back was changed by hand",
        "Restore the annotation from an earlier version of the object, or remove it and accept the routes as they are.",
        forcible=False,
    ),
    # Found by looking at the whole service before a change, or when asked.
    "ROUTE_APIS_MIXED": Kind(
        "error",
        "A VirtualService and an HTTPRoute both route the service",
        "Callers obey only one of them: keep the one you mean and delete the other.",
    ),
    "SUBSET_NOT_READY": Kind(
        "error",
        "A version is to get requests and has no ready pod",
        "Wait until a pod is ready, or give the version weight 0: requests to it would be answered 503.",
    ),
    "SUBSET_SELECTS_NO_POD": Kind(
        "warning",
        "A subset's labels match no pod",
        "This is normal before the version is deployed; else compare the subset's labels with those of the pods.",
    ),
    "SINGLE_DESTINATION_AT_ZERO": Kind(
        "warning",
        "A route's only destination has weight 0",
        "A single destination gets every request whatever its weight: name the other too, or remove the weight.",
    ),
    "DESTINATION_RULE_SHADOWED": Kind(
        "error",
        "A DestinationRule of the callers' namespace hides the subsets",
        "Remove it, or give it the same subsets: for callers there it replaces the service's own rule whole.",
    ),
    "DESTINATION_RULE_ELSEWHERE": Kind(
        "warning",
        "A DestinationRule of the callers' namespace replaces the service's own",
        "It has the subsets needed now. Keep its labels and policies equal to the service's own, or remove it.",
    ),
    "DESTINATION_RULE_PRIVATE": Kind(
        "warning",
        "Callers see the route but not the DestinationRule with its subsets",
        "Give both the same exportTo: callers who see the route alone are answered 503.",
    ),
    "HOST_BY_WILDCARD": Kind(
        "warning",
        "A VirtualService with a wildcard routes the service for the mesh",
        "It is never edited, for it routes others too. A VirtualService of the service's own (role routing) takes its "
        "place whole: copy its timeouts and rules there first.",
    ),
    "HTTP_ROUTE_ELSEWHERE": Kind(
        "warning",
        "An HTTPRoute of the callers' namespace replaces the service's own",
        "Callers there do not follow the service's split: remove it, or let it name the versions by the same weights.",
    ),
    "GATEWAY_NOT_COVERED": Kind(
        "warning",
        "Requests that come in by a gateway do not follow the mesh's split",
        "Let the gateway's route name the versions too, as canary_weight does for all it sees, "
        "or bind the mesh's VirtualService to the gateway.",
    ),
    "PORT_NOT_HTTP": Kind(
        "error",
        "The Service's port is not HTTP, so http routes have no effect",
        "Set appProtocol: http (or grpc) on the Service's port, or split connections by tcp routes.",
    ),
    "PORT_PROTOCOL_GUESSED": Kind(
        "warning",
        "The Service's port declares no protocol",
        "Set appProtocol: http on the Service's port, or begin its name with http-.",
    ),
    "CALLER_WITHOUT_SIDECAR": Kind(
        "error",
        "A pod of the service's namespace that should have a sidecar has none",
        "Restart its Deployment so that the sidecar is injected; until then its requests ignore every weight.",
    ),
    "PODS_OUTSIDE_MESH": Kind(
        "warning",
        "Pods of the service's namespace are outside the mesh",
        "Label the namespace istio-injection=enabled and restart the pods if they call the service; else leave them.",
    ),
    "AMBIENT_WITHOUT_WAYPOINT": Kind(
        "error",
        "The service is in ambient mode without a waypoint that works",
        "Create a waypoint and enrol the service; without one weights and header routes are silently unused.",
    ),
    "OWNED_BY_CONTROLLER": Kind(
        "error",
        "A controller writes the object",
        "Use that controller's own way to shift traffic, or release the object from it first.",
    ),
    "REVERTED_BY_GITOPS": Kind(
        "error",
        "A GitOps tool puts its own version of the object back",
        "Suspend the tool for this object while the canary runs, or change the weights in Git.",
    ),
    "APPLIED_BY_TOOL": Kind(
        "warning",
        "A tool applies the object from Git or from a chart",
        "Its next run may undo the change: bring the manifest up to date afterwards, or leave the routes out of it.",
    ),
    "HPA_WITHOUT_CPU_REQUEST": Kind(
        "warning",
        "An HPA by CPU whose pods request no CPU",
        "Give every container a CPU request, the sidecar too (annotation sidecar.istio.io/proxyCPU), or scale by "
        "ContainerResource.",
    ),
    "HPA_NOT_SCALING": Kind(
        "warning",
        "An HPA says that it cannot scale",
        "Read its conditions: kubectl describe hpa; usual causes are metrics-server and missing CPU requests.",
    ),
    "CAPACITY_BELOW_SHARE": Kind(
        "error",
        "A version has too few pods for its share",
        "Scale the version first, raise its HPA's maximum, or take a smaller step.",
    ),
    "CAPACITY_NOT_YET": Kind(
        "warning",
        "A version's HPA has yet to start the pods its share needs",
        "Raise minReplicas before the shift, so that the pods are there when the requests come.",
    ),
    "CAPACITY_OF_COHORT": Kind(
        "warning",
        "A version could not carry a cohort's share if the cohort were large",
        "Nothing for a few testers; for a match that many requests fit, scale the version first.",
    ),
    "UPDATE_ENDS_ALL_PODS": Kind(
        "error",
        "The Deployment's update ends all pods before it starts new ones",
        "Set strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0}} as the role versions does; where two "
        "versions must never run at once, force this code and expect an outage.",
    ),
    "UPDATE_SINKS_CAPACITY": Kind(
        "warning",
        "The Deployment's update ends pods before their successors are ready",
        "Set maxUnavailable: 0 and maxSurge of at least 1 in strategy.rollingUpdate.",
    ),
    "READINESS_PROBE_MISSING": Kind(
        "warning",
        "Pods get requests as soon as their program is started",
        "Give the container a readinessProbe that passes when it can serve.",
    ),
    "PRESTOP_MISSING": Kind(
        "warning",
        "Pods may end while requests are still sent to them",
        "Give the container lifecycle.preStop with some seconds of sleep, so that it serves until all have heard of "
        "its end.",
    ),
    "SESSION_AFFINITY": Kind(
        "warning",
        "The Service keeps each caller at one pod",
        "Read the share as one of callers, not of connections; or set sessionAffinity: None while the canary runs.",
    ),
    "CANARY_TEMPLATE_DIFFERS": Kind(
        "warning",
        "The canary's pods differ from stable's in more than the image",
        "Bring stable's template to the canary's before you promote, or make the canary anew (state: absent): only the "
        "image is promoted.",
    ),
    "PROMOTES_UNTESTED": Kind(
        "error",
        "Stable would run the new image in another template than the one the canary has shown",
        "Bring both Deployments to one template first, or make the canary anew from stable (state: absent, then "
        "present) and watch it.",
    ),
    "VALIDATION_WEBHOOK_OFF": Kind(
        "warning",
        "Istio's validation webhook does not guard the routes",
        "Switch it on in Istio's installation (global.configValidation) and wait until failurePolicy is Fail.",
    ),
    "RIGHT_MISSING": Kind(
        "error",
        "The user lacks a right the collection needs",
        "Add the verb to the user's Role.",
        forcible=False,
    ),
    "RIGHT_MISSING_OPTIONAL": Kind(
        "warning",
        "The user lacks a right that some modules need, or that would give more evidence",
        "Add the verb to the user's Role if he does what it is for; docs/rights.md has a Role for each purpose.",
    ),
    "NOT_CHECKED": Kind(
        "note",
        "Something was not read, so it was not checked",
        "Nothing, if you did not need it; else give the user the right to read it.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or would be after the change.

    code: key of CATALOGUE. object: `Kind namespace/name`. reason: what was seen there, in one sentence.
    remedy: what to do; the catalogue's text unless something more exact can be said.
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
