# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a service's rollout stands, for whoever looks: phase, holder, an edit by hand, and the command that is next."""

from __future__ import annotations

import datetime
import json
import shlex
import typing as t

from ..errors import ApiError, Refused
from ..rollout import cohort, steering
from ..rollout.approval import APPROVE, REJECT, ticket
from ..rollout.plan_options import as_variables
from . import run_result
from .lease import Lease, unlocked
from .run_store import RunStore

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef
    from .run_store import Stored

KEPT: t.Final = (
    "id", "phase", "over", "stable", "canary", "weight", "waits_for", "seconds_left", "reason", "holder", "lease_until",
)  # fmt: skip


def status(
    cluster: Cluster,
    service: ServiceRef,
    weights: Mapping[str, float],
    cohorts: Mapping[str, t.Any],
    notes: list[str],
) -> dict[str, t.Any] | None:
    """Return where the last rollout stands, None if none is recorded or it cannot be read, which gives a note.

    weights: version -> percent, as the routes have it now; empty where that is not known. cohorts: theirs, by name.
    """
    lease = Lease(cluster, service, 0, "nobody")
    try:
        stored = RunStore(cluster, service).read()
        if stored is None:
            return None
        holder = lease.holder()
    except (ApiError, Refused) as error:
        notes.append(f"Whether a rollout is under way is not known: {error.msg}")
        return None
    rollout, run = stored.rollout, stored.run
    told = run_result.told(stored, holder, lease.now().timestamp())["run"]
    beside = cohort.told(cohorts.get(cohort.NAME))
    found = {version: float(percent) for version, percent in weights.items() if version}
    goes_on = steering.unstopped(run, run.since) if run.stopped_in else run  # whoever goes on meets the edit
    drift = "" if rollout.by_pods or not found else steering.drift(rollout, goes_on, found, beside)
    since = datetime.datetime.fromtimestamp(run.since, datetime.timezone.utc)
    return {
        **{name: told[name] for name in KEPT},
        "step": run.at + 1,
        "steps": len(rollout.steps),
        "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "drift": drift,
        "next": _next(service, stored, told, drift),
    }


class _Ways:
    """The commands for a rollout that stands still, ready to be copied."""

    def __init__(self, service: ServiceRef, stored: Stored) -> None:
        rollout = stored.rollout
        where = f"-e service={service.name} -e ns={service.namespace} -e stable={rollout.stable}"
        plan = shlex.quote(json.dumps(as_variables(rollout)))
        self.onward = f"ansible-playbook meshops.canary.rollout {where} -e canary={rollout.canary} -e {plan}"
        self.back = f"to take everything back: ansible-playbook meshops.canary.rollback {where}"

    def go_on(self, drift: str) -> list[str]:
        """Return the command that goes on; two where somebody's edit must be decided about first."""
        if not drift:
            return [f"to go on: {self.onward}"]
        return [
            f"to put the rollout's weights back and go on: {self.onward} -e on_drift=restore",
            f"to keep the edit and go on from there: {self.onward} -e on_drift=adopt",
        ]


def _next(service: ServiceRef, stored: Stored, told: Mapping[str, t.Any], drift: str) -> list[str]:
    """Return what there is to do, a sentence or command each; nothing where nothing is.

    The plan is told with the commands, for another one would be refused.
    """
    ways, run, gate = _Ways(service, stored), stored.run, steering.step_of(stored.rollout, stored.run).gate
    kubectl = f"kubectl -n {service.namespace}"
    if run.phase == "stopped" and run.stopped_in == "promoting":
        return [f"to finish the promotion, when what stopped it is mended: {ways.onward}", ways.back]
    if run.phase == "stopped":
        return [*ways.go_on(drift), ways.back]
    if run.over:
        return []
    if not told["holder"]:
        return [
            "nobody works on it; metrics and hooks are not recorded, so add those it was begun with",
            *ways.go_on(drift),
            ways.back,
        ]
    if run.phase == "gated" and gate == "manual":
        annotate = f"{kubectl} annotate --overwrite service {service.name}"
        return [f"to go on: {annotate} {APPROVE}={ticket(run)}", f"to go back: {annotate} {REJECT}={ticket(run)}"]
    if told["seconds_left"] == 0:
        return [
            f"its time is over; if {told['holder']} is dead for good: {unlocked(service)}; then",
            *ways.go_on(drift),
        ]
    return []
