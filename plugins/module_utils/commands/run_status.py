# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a service's rollout stands, for whoever looks: phase, holder, an edit by hand, and the command that is next."""

from __future__ import annotations

import datetime
import typing as t

from ..errors import ApiError, Refused
from ..rollout import cohort, steering
from ..rollout.approval import APPROVE, REJECT
from . import run_result
from .lease import Lease
from .run_store import RunStore

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef

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
    drift = "" if rollout.by_pods or not found else steering.drift(rollout, run, found, beside)
    since = datetime.datetime.fromtimestamp(run.since, datetime.timezone.utc)
    gate = steering.step_of(rollout, run).gate
    return {
        **{name: told[name] for name in KEPT},
        "step": run.at + 1,
        "steps": len(rollout.steps),
        "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "drift": drift,
        "next": _next(service, told, drift, gate=gate, by_pods=rollout.by_pods),
    }


def _next(service: ServiceRef, run: Mapping[str, t.Any], drift: str, *, gate: str, by_pods: bool) -> list[str]:
    """Return what there is to do, a sentence or command each; nothing where nothing is."""
    where = f"-e service={service.name} -e ns={service.namespace}"
    if run["phase"] == "stopped":
        return [f"to take everything back: ansible-playbook meshops.canary.rollback {where} -e stable={run['stable']}"]
    if run["over"]:
        return []
    if run["phase"] == "gated" and gate == "manual":
        annotate = f"kubectl -n {service.namespace} annotate --overwrite service {service.name}"
        ticket = f"{run['id']}-{run['at'] + 1}"
        return [f"to go on: {annotate} {APPROVE}={ticket}", f"to go back: {annotate} {REJECT}={ticket}"]
    if run["holder"]:
        return []
    how = " -e route_api=replicas -e image=IMAGE" if by_pods else ""
    edit = " -e on_drift=restore (or adopt)" if drift else ""
    command = f"ansible-playbook meshops.canary.rollout {where} -e stable={run['stable']} -e canary={run['canary']}"
    return [f"nobody works on it; to go on, with the steps it was begun with: {command}{how}{edit}"]
