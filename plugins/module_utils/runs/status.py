# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a service's rollout: phase, holder, drift, and the next commands."""

from __future__ import annotations

import datetime
import json
import shlex
import typing as t

from ..errors import ApiError, Refused
from ..rollout import cohort, transitions
from ..rollout.approval import APPROVE, REJECT, ticket
from ..rollout.plan_options import as_variables, playbook_command
from . import report
from .lock import Lease, unlock_command
from .record_store import RunStore

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from .record_store import Stored

FIELDS: t.Final = (
    "id", "phase", "over", "stable", "canary", "weight", "waits_for", "seconds_left", "reason", "holder", "lease_until",
)  # fmt: skip


def status(
    cluster: Cluster,
    service: ServiceRef,
    weights: Mapping[str, float],
    cohorts: Mapping[str, t.Any],
    notes: list[str],
) -> dict[str, t.Any] | None:
    """Return the status of the last rollout, None if none is recorded; an unreadable record adds a note.

    weights: version -> percent on the routes now; empty if unknown. cohorts: those of the routes, by name.
    """
    lease = Lease(cluster, service, 0, "reader")
    try:
        stored = RunStore(cluster, service).read()
        if stored is None:
            return None
        holder = lease.holder()
    except (ApiError, Refused) as error:
        notes.append(f"The status of the rollout is unknown: {error.msg}")
        return None
    rollout, run = stored.rollout, stored.run
    result = report.result(stored, holder, lease.now().timestamp())["run"]
    cohort_found = cohort.describe_found(cohorts.get(cohort.NAME))
    found = {version: float(percent) for version, percent in weights.items() if version}
    resumed = transitions.resume(run, run.since) if run.stopped_in else run  # the next run finds this drift
    drift = "" if rollout.by_pods or not found else transitions.drift(rollout, resumed, found, cohort_found)
    since = datetime.datetime.fromtimestamp(run.since, datetime.timezone.utc)
    return {
        **{name: result[name] for name in FIELDS},
        "step": run.at + 1,
        "steps": len(rollout.steps),
        "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "drift": drift,
        "next": _next_commands(service, stored, result, drift),
    }


class _NextCommands:
    """The commands for a rollout that is stopped or has no holder, ready to copy."""

    def __init__(self, service: ServiceRef, stored: Stored) -> None:
        rollout = stored.rollout
        names = {"service": service.name, "ns": service.namespace, "stable": rollout.stable}
        plan = shlex.quote(json.dumps(as_variables(rollout)))
        self.resume = f"{playbook_command('rollout', **names, canary=rollout.canary)} -e {plan}"
        self.rollback = f"to roll back: {playbook_command('rollback', **names)}"

    def continuing(self, drift: str) -> list[str]:
        """Return the command that continues; with drift, one command per policy."""
        if not drift:
            return [f"to continue: {self.resume}"]
        return [
            f"to restore the rollout's weights and continue: {self.resume} -e rollout_on_drift=restore",
            f"to keep the external change and continue from it: {self.resume} -e rollout_on_drift=adopt",
        ]


def _next_commands(service: ServiceRef, stored: Stored, result: Mapping[str, t.Any], drift: str) -> list[str]:
    """Return the next actions, a sentence or command each; empty if there are none.

    The commands contain the plan, because a different one would be refused.
    """
    commands, run, gate = (
        _NextCommands(service, stored),
        stored.run,
        transitions.step_of(stored.rollout, stored.run).gate,
    )
    kubectl = f"kubectl -n {service.namespace}"
    if run.phase == "stopped" and run.stopped_in == "promoting":
        return [f"to finish the promotion, once its cause is fixed: {commands.resume}", commands.rollback]
    if run.phase == "stopped":
        return [*commands.continuing(drift), commands.rollback]
    if run.over:
        return []
    if not result["holder"]:
        return [
            "no run holds the lock; the record has no metrics and hooks, so add those of the first run",
            *commands.continuing(drift),
            commands.rollback,
        ]
    if run.phase == "gated" and gate == "manual":
        annotate = f"{kubectl} annotate --overwrite service {service.name}"
        return [f"to approve: {annotate} {APPROVE}={ticket(run)}", f"to reject: {annotate} {REJECT}={ticket(run)}"]
    if result["seconds_left"] == 0:
        return [
            f"the deadline has passed; if {result['holder']} is dead: {unlock_command(service)}; then",
            *commands.continuing(drift),
        ]
    return []
