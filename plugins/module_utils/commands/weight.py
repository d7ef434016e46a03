# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_weight: the shares of a service's versions."""

from __future__ import annotations

import typing as t

from ..cluster import Cluster
from ..errors import Drifted, InvalidInput
from ..routes import plan
from ..routes.weights import alike, one_percent, shares_in_words
from .apply import apply
from .argspec import CONNECTION, SCOPE, SERVICE, STATE, WAIT, WRITE, ArgSpec
from .reading import scope_of, service_of
from .run_store import under_way

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.change import Plan
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **SERVICE,
        **SCOPE,
        **WRITE,
        **WAIT,
        **STATE,
        "weights": {"type": "dict"},
        "settle": {"type": "bool", "default": False},
        "expected": {"type": "dict"},
        "end_cohorts": {"type": "list", "elements": "str", "default": []},
        "rollout": {"type": "str"},
    },
    required_if=[("state", "present", ["weights"])],
)


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Set the weights, or give the route back. Raises CanaryError."""
    if params["state"] == "absent" and params["end_cohorts"]:
        raise InvalidInput("end_cohorts goes with weights; with state: absent use canary_header_route to end a cohort.")
    cluster, service, scope = Cluster.connect(params, env), service_of(params), scope_of(params)

    def decide(snapshot: Snapshot) -> Plan:
        api = params["route_api"]
        if params["state"] == "absent":
            return plan.plan_weights_absent(snapshot, service, scope=scope, api=api)
        weights, settle, ended = params["weights"], params["settle"], params["end_cohorts"]
        planned = plan.plan_weights(snapshot, service, weights, scope=scope, settle=settle, end_cohorts=ended, api=api)
        if params["expected"] is not None:
            _must_be_as_expected(service, planned, params["expected"])
        return planned

    last_look = under_way(cluster, service, params["rollout"])
    return apply(cluster, service, decide, params, check_mode=check_mode, log=log, last_look=last_look)


def _must_be_as_expected(service: ServiceRef, planned: Plan, expected: Mapping[str, t.Any]) -> None:
    """Raise Drifted unless the weights are those expected, or already those that are wanted."""
    now = {version: float(percent) for version, percent in planned.weights_before.items() if version}
    before = {name: float(one_percent(percent, f"expected.{name}")) for name, percent in expected.items()}
    if alike(now, before) or alike(now, planned.weights_after):
        return
    told = shares_in_words(now) or "no version by name"
    asked = shares_in_words({version: percent for version, percent in before.items() if percent})
    raise Drifted(
        f"Somebody else has changed the weights of {service.name} in {service.namespace}: they are {told}, and were "
        f"expected to be {asked}. Nothing was written. Look who it was, then run again with these as expected, or "
        "without expected to write whatever is there.",
        weights_now=now,
        expected=before,
    )
