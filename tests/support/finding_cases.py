# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case for every finding on the real API server: what causes it, and which command reports it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import finding_causes as causes

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .simulated import SimulatedService

SHIFT: dict[str, t.Any] = {"weights": {"v1": 75, "v2": 25}}
SHIFT_SERVICES: dict[str, t.Any] = {"weights": {"reviews-v1": 75, "reviews-v2": 25}}
Step = tuple[str, dict[str, t.Any]]


@dataclass(frozen=True)
class FindingCase:
    """code is found by `command` with `options` once `prepare` and the steps `before` are done.

    In names of objects ELSEWHERE stands for the namespace of callers.
    """

    code: str
    prepare: Callable[[SimulatedService], None]
    command: str = "weight"
    options: dict[str, t.Any] = field(default_factory=lambda: SHIFT)
    before: tuple[Step, ...] = ()

    def options_in(self, elsewhere: str) -> dict[str, t.Any]:
        """Return the options with the namespace of callers."""
        names = {key: value for key, value in self.options.items() if key == "http_routes"}
        return {**self.options, **{key: [one.replace("ELSEWHERE", elsewhere) for one in v] for key, v in names.items()}}

    def __str__(self) -> str:
        return f"{self.code}-{self.prepare.__name__}"


TESTERS: dict[str, t.Any] = {"name": "testers", "weights": {"v2": 100}}
BOB: dict[str, t.Any] = {**TESTERS, "headers": {"end-user": "bob"}}
RELABELED: dict[str, t.Any] = {"versions": {"v1": {"tier": "gold"}}, "stable": "v1"}
ADDED = {"versions": ["v1", "v2", "v4"], "stable": "v1", "wait": False}
USED = {"weights": {"v1": 90, "v4": 10}, "force": ["SUBSET_NOT_READY"], "wait": False}
ROLLOUT: dict[str, t.Any] = {"state": "promoted", "steps": [10], "analysis": False, "capacity": False}
# Errors: the command is refused with the code, and nothing is written.
REFUSED: tuple[FindingCase, ...] = (
    FindingCase("HOST_CLAIMED_TWICE", causes.second_claim),
    FindingCase("ROUTE_APIS_MIXED", causes.http_route_for_the_mesh),
    FindingCase("SUBSET_UNKNOWN", causes.nothing, options={"weights": {"v1": 75, "v9": 25}}),
    FindingCase("SUBSET_NOT_READY", causes.nothing, options={"weights": {"v1": 75, "v3": 25}}),
    FindingCase("SUBSET_NOT_READY", causes.unready),
    FindingCase("VERSION_PORT_UNKNOWN", causes.service_with_another_port, options=SHIFT_SERVICES),
    FindingCase("PODS_OF_TWO_VERSIONS", causes.services_with_the_same_pods, options=SHIFT_SERVICES),
    FindingCase(
        "SUBSET_LABELS_DIFFER", causes.nothing, "routing", {"versions": {"v1": {"tier": "gold"}}, "stable": "v1"}
    ),
    FindingCase(
        "SUBSET_IN_USE",
        causes.nothing,
        "routing",
        {"state": "absent", "versions": ["v4"]},
        (("routing", ADDED), ("weight", USED)),
    ),
    FindingCase(
        "COHORT_MATCH_INEXPRESSIBLE",
        causes.routed_by_header,
        "header_route",
        {**TESTERS, "headers": {"end-user": {"regex": "b.*"}}, "routes": ["some"]},
    ),
    FindingCase(
        "DELEGATE_MATCH_CONFLICT", causes.delegated, "header_route", {**TESTERS, "headers": {"end-user": "bob"}}
    ),
    FindingCase("MIRROR_NOT_OURS", causes.mirrored, "mirror", {"version": "v2", "percent": 5}),
    FindingCase("STATE_UNREADABLE", causes.scribbled),
    FindingCase("CAPACITY_BELOW_SHARE", causes.nothing, options={"weights": {"v2": 100}}),
    FindingCase("DESTINATION_RULE_SHADOWED", causes.rule_of_the_callers_namespace),
    FindingCase("ENDPOINT_CHOSEN_BY_CALLER", causes.passed_through),
    FindingCase(
        "BACKEND_NOT_PERMITTED",
        causes.shop_of_the_ingress_team,
        options={"weights": {"reviews-v1": 50, "reviews-v2": 50}, "http_routes": ["ELSEWHERE/shop"]},
    ),
    FindingCase("PORT_NOT_HTTP", causes.tcp_port),
    FindingCase("CALLER_WITHOUT_SIDECAR", causes.forgotten_sidecar),
    FindingCase("AMBIENT_WITHOUT_WAYPOINT", causes.ambient_without_waypoint),
    FindingCase("OWNED_BY_CONTROLLER", causes.of_rollouts),
    FindingCase("OWNED_BY_CONTROLLER", causes.of_flagger),
    FindingCase("REVERTED_BY_GITOPS", causes.of_flux),
    FindingCase("REVERTED_BY_GITOPS", causes.of_argo_that_heals),
    FindingCase("STABLE_NOT_SERVING", causes.nothing, "rollout", {**ROLLOUT, "stable": "v2", "canary": "v1"}),
)
# Warnings that `canary_info` reports.
REPORTED: tuple[FindingCase, ...] = (
    FindingCase("SUBSET_SELECTS_NO_POD", causes.nothing),
    FindingCase("SINGLE_DESTINATION_AT_ZERO", causes.single_destination_at_zero),
    FindingCase("DESTINATION_RULE_ELSEWHERE", causes.equal_rule_elsewhere),
    FindingCase("DESTINATION_RULE_PRIVATE", causes.private_rule),
    FindingCase("HOST_BY_WILDCARD", causes.by_wildcard),
    FindingCase("HTTP_ROUTE_ELSEWHERE", causes.consumer_route),
    FindingCase("GATEWAY_NOT_COVERED", causes.gateway_without_versions),
    FindingCase("HOST_NOT_COMPLETED", causes.host_with_a_namespace),
    FindingCase("GATEWAY_NAME_OBSOLETE", causes.gateway_by_full_name),
    FindingCase("REVISION_NOT_RUNNING", causes.of_another_revision),
    FindingCase("PORT_PROTOCOL_GUESSED", causes.unnamed_port),
    FindingCase("PORT_NOT_SPLIT", causes.port_without_route),
    FindingCase("PODS_OUTSIDE_MESH", causes.chosen_to_be_outside),
    FindingCase("WAYPOINT_NOT_WORKING", causes.waypoint_that_is_not_there),
    FindingCase("APPLIED_BY_TOOL", causes.of_helm),
    FindingCase("APPLIED_BY_TOOL", causes.of_argo),
    FindingCase("SCALED_BY_CONTROLLER", causes.scaled_by_keda),
    FindingCase("HPA_WITHOUT_CPU_REQUEST", causes.autoscaled_without_request),
    FindingCase("HPA_NOT_SCALING", causes.stopped_autoscaler),
)
# Warnings of a change, which is made all the same.
WARNED: tuple[FindingCase, ...] = (
    FindingCase("HOST_CLAIM_CONTESTED", causes.second_claim, options={**SHIFT, "virtual_services": ["reviews"]}),
    FindingCase("HASH_WITHIN_VERSION", causes.hashed),
    FindingCase("CAPACITY_NOT_YET", causes.room_to_grow, options={"weights": {"v2": 100}}),
    FindingCase("CAPACITY_OF_COHORT", causes.nothing, "header_route", {**TESTERS, "headers": {"end-user": "ada"}}),
)
# Findings without a case here, and where they are tested.
BY_PODS = "tests/api/test_replicas_findings.py, where Deployments are changed and no routes"
WITH_WAYPOINT = "the unit tests of preflight: it needs a waypoint that works"
ELSEWHERE = {
    "GITOPS_PAUSED": "a rollout pauses a tool first; see tests/api/test_gitops.py",
    "UPDATE_ENDS_ALL_PODS": BY_PODS,
    "UPDATE_SINKS_CAPACITY": BY_PODS,
    "READINESS_PROBE_MISSING": BY_PODS,
    "PRESTOP_MISSING": BY_PODS,
    "PRESTOP_TOO_SHORT": BY_PODS,
    "GRACE_PERIOD_TOO_SHORT": BY_PODS,
    "SESSION_AFFINITY": BY_PODS,
    "CANARY_TEMPLATE_DIFFERS": BY_PODS,
    "PROMOTES_UNTESTED": BY_PODS,
    "ENDPOINT_UNKNOWN_TO_PROXIES": "tests/unit/plugins/module_utils/writing/test_apply.py: it needs proxies",
    "WAYPOINT_IGNORES_MATCH": WITH_WAYPOINT,
    "WAYPOINT_IGNORES_ROUTE": WITH_WAYPOINT,
    "GATEWAY_ROUTES_AT_WAYPOINT": WITH_WAYPOINT,
    "HTTP_ROUTE_NOT_RESOLVED": "tests/mesh/test_routing_shapes.py: a Gateway's controller must say it",
    "RIGHT_MISSING": "tests/api/test_rights.py removes every single verb",
    "RIGHT_MISSING_OPTIONAL": "tests/api/test_rights.py removes every single verb",
    "NOT_ENOUGH_REQUESTS": "tests/mesh/test_rollout.py, where proxies count requests",
    "NOT_CHECKED": "tests/api/test_rights.py removes every single verb",
    "VALIDATION_WEBHOOK_OFF": "the webhook belongs to the whole cluster, so only the unit tests of preflight test it",
}
