# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stage for every finding on the real API server: what is broken in a sound `reviews`, and who shall say so."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import stages

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .scene import Scene

SHIFT: dict[str, t.Any] = {"weights": {"v1": 75, "v2": 25}}
Step = tuple[str, dict[str, t.Any]]


@dataclass(frozen=True)
class Staged:
    """code is found by `command` with `options` once `prepare` and the steps `before` are done."""

    code: str
    prepare: Callable[[Scene], None]
    command: str = "weight"
    options: dict[str, t.Any] = field(default_factory=lambda: SHIFT)
    before: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}-{self.prepare.__name__}"


TESTERS: dict[str, t.Any] = {"name": "testers", "weights": {"v2": 100}}
ADDED = {"versions": ["v1", "v2", "v4"], "stable": "v1", "wait": False}
USED = {"weights": {"v1": 90, "v4": 10}, "force": ["SUBSET_NOT_READY"], "wait": False}
# Errors: the command is refused with the code, and nothing is written.
REFUSED: tuple[Staged, ...] = (
    Staged("HOST_CLAIMED_TWICE", stages.second_claim),
    Staged("ROUTE_APIS_MIXED", stages.http_route_for_the_mesh),
    Staged("SUBSET_UNKNOWN", stages.nothing, options={"weights": {"v1": 75, "v9": 25}}),
    Staged("SUBSET_NOT_READY", stages.nothing, options={"weights": {"v1": 75, "v3": 25}}),
    Staged("SUBSET_NOT_READY", stages.unready),
    Staged("SUBSET_LABELS_DIFFER", stages.nothing, "routing", {"versions": {"v1": {"tier": "gold"}}, "stable": "v1"}),
    Staged(
        "SUBSET_IN_USE",
        stages.nothing,
        "routing",
        {"state": "absent", "versions": ["v4"]},
        (("routing", ADDED), ("weight", USED)),
    ),
    Staged(
        "COHORT_MATCH_UNANSWERABLE",
        stages.routed_by_header,
        "header_route",
        {**TESTERS, "headers": {"end-user": {"regex": "b.*"}}, "routes": ["some"]},
    ),
    Staged("DELEGATE_MATCH_CONFLICT", stages.delegated, "header_route", {**TESTERS, "headers": {"end-user": "bob"}}),
    Staged("MIRROR_NOT_OURS", stages.mirrored, "mirror", {"version": "v2", "percent": 5}),
    Staged("STATE_UNREADABLE", stages.scribbled),
    Staged("CAPACITY_BELOW_SHARE", stages.nothing, options={"weights": {"v2": 100}}),
    Staged("DESTINATION_RULE_SHADOWED", stages.rule_of_the_callers_namespace),
    Staged("PORT_NOT_HTTP", stages.tcp_port),
    Staged("CALLER_WITHOUT_SIDECAR", stages.forgotten_sidecar),
    Staged("AMBIENT_WITHOUT_WAYPOINT", stages.ambient_without_waypoint),
    Staged("OWNED_BY_CONTROLLER", stages.of_rollouts),
    Staged("OWNED_BY_CONTROLLER", stages.of_flagger),
    Staged("REVERTED_BY_GITOPS", stages.of_flux),
    Staged("REVERTED_BY_GITOPS", stages.of_argo_that_heals),
)
# Warnings that `canary_info` tells of things as they are.
TOLD: tuple[Staged, ...] = (
    Staged("SUBSET_SELECTS_NO_POD", stages.nothing),
    Staged("SINGLE_DESTINATION_AT_ZERO", stages.single_destination_at_zero),
    Staged("DESTINATION_RULE_ELSEWHERE", stages.equal_rule_elsewhere),
    Staged("DESTINATION_RULE_PRIVATE", stages.private_rule),
    Staged("HOST_BY_WILDCARD", stages.by_wildcard),
    Staged("HTTP_ROUTE_ELSEWHERE", stages.consumer_route),
    Staged("GATEWAY_NOT_COVERED", stages.gateway_without_versions),
    Staged("PORT_PROTOCOL_GUESSED", stages.unnamed_port),
    Staged("PODS_OUTSIDE_MESH", stages.chosen_to_be_outside),
    Staged("APPLIED_BY_TOOL", stages.of_helm),
    Staged("APPLIED_BY_TOOL", stages.of_argo),
    Staged("HPA_WITHOUT_CPU_REQUEST", stages.autoscaled_without_request),
    Staged("HPA_NOT_SCALING", stages.stopped_autoscaler),
)
# Warnings of a change: it is made, and the warning said.
WARNED: tuple[Staged, ...] = (
    Staged("HOST_CLAIM_CONTESTED", stages.second_claim, options={**SHIFT, "virtual_services": ["reviews"]}),
    Staged("CAPACITY_NOT_YET", stages.room_to_grow, options={"weights": {"v2": 100}}),
    Staged("CAPACITY_OF_COHORT", stages.nothing, "header_route", {**TESTERS, "headers": {"end-user": "ada"}}),
)
# What no stage shows, and where it is shown instead.
BY_PODS = "tests/api/test_replicas_findings.py, where Deployments are changed and no routes"
ELSEWHERE = {
    "UPDATE_ENDS_ALL_PODS": BY_PODS,
    "UPDATE_SINKS_CAPACITY": BY_PODS,
    "READINESS_PROBE_MISSING": BY_PODS,
    "PRESTOP_MISSING": BY_PODS,
    "SESSION_AFFINITY": BY_PODS,
    "CANARY_TEMPLATE_DIFFERS": BY_PODS,
    "PROMOTES_UNTESTED": BY_PODS,
    "RIGHT_MISSING": "tests/api/test_rights.py takes every single verb away",
    "RIGHT_MISSING_OPTIONAL": "tests/api/test_rights.py takes every single verb away",
    "NOT_CHECKED": "tests/api/test_rights.py takes every single verb away",
    "VALIDATION_WEBHOOK_OFF": "the webhook is the cluster's, and all tests are written under its guard: by table only",
}
