# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task's result, the report, and the Kubernetes Events on the Service."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ..kube.resources import EVENT, SERVICE
from ..rollout import approval, checksum, cohort, record, transitions
from ..rollout import steps as plans
from ..rollout.plan_options import as_variables
from ..rollout.plan_text import plan_lines
from ..rollout.state_machine import WAITS, WAITS_BY_PODS
from .record_store import plan_of

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from .record_store import Stored

_WARNINGS: t.Final = frozenset({"fail", "deadline", "error", "drift", "abort", "rejected", "step_back", "superseded"})
MAX_MESSAGE_CHARS: t.Final = 1000


def result(
    stored: Stored, holder: tuple[str, str], now: float, *, drift: str = "", resumed: bool = False
) -> dict[str, t.Any]:
    """Return the keys that every state returns. holder: holder and expiry of the lock. now: epoch seconds."""
    rollout, run = stored.rollout, stored.run
    step = transitions.step_of(rollout, run)
    limit = step.gate_limit if run.phase == "gated" else step.deadline
    left = None if run.over else max(0.0, round(run.since + limit - now, 1))
    return {
        "msg": _summary(stored, resumed=resumed),
        "run": {
            **asdict(run),
            "evidence": {name: list(state) for name, state in run.evidence.items()},
            "over": run.over,
            "begun": any(entry["from"] for entry in stored.events),  # the entries of opening have no phase before
            "stable": rollout.stable,
            "canary": rollout.canary,
            "baseline": rollout.baseline,
            "idle_versions": idle_versions(stored),
            "weight": step.weight,
            "last": run.at >= len(rollout.steps) - 1,
            "waits_for": (WAITS_BY_PODS if rollout.by_pods else WAITS).get(run.phase, ""),
            "desired_weights": transitions.desired_weights(rollout, run),
            "share_ahead": plans.share_ahead(rollout.steps, run.at),
            "desired_cohort": cohort.route_options(transitions.desired_cohort(rollout, run), rollout.canary),
            "cohort_due": transitions.cohort_due(rollout, run),
            "end_cohorts": transitions.cohorts_to_end(rollout, run),
            "seconds_in_phase": max(0.0, round(now - run.since, 1)),
            "seconds_left": left,
            "holder": holder[0],
            "lease_until": holder[1],
            "ticket": approval.ticket(run) if run.phase == "gated" else "",
            "watchdog": (stored.watchdog or {}).get("job", ""),
        },
        "step": step.as_dict(),
        "steps": [{**one.as_dict(), "weights": rollout.weights(one.weight)} for one in rollout.steps],
        "plan_text": plan_lines(rollout),
        "variables": as_variables(rollout),
        "events": len(stored.events),
        "drift": drift,
        "resumed": resumed,
    }


def idle_versions(stored: Stored) -> list[str]:
    """Return the versions to scale to zero at the end: the baseline, also that of the superseded run."""
    rollout, before = stored.rollout, stored.superseded.rollout.baseline if stored.superseded else ""
    used = (rollout.stable, rollout.canary, rollout.baseline, *rollout.keep)
    return [*filter(None, [rollout.baseline]), *filter(None, [before if before not in used else ""])]


def empty_result(service: ServiceRef) -> dict[str, t.Any]:
    """Return the same keys when no rollout is recorded."""
    empty: dict[str, t.Any] = {
        "run": None,
        "step": None,
        "steps": [],
        "plan_text": [],
        "variables": {},
        "events": 0,
        "drift": "",
        "resumed": False,
    }
    return {**empty, "msg": f"No rollout of {service.name} is recorded."}


def report(stored: Stored, key: str = "") -> dict[str, t.Any]:
    """Return the report with checksums; tampered lists what in the record is not as it was written. key: signs it."""
    content = {
        "service": stored.run.service,
        "namespace": stored.run.namespace,
        "stable": stored.rollout.stable,
        "canary": stored.rollout.canary,
        "id": stored.run.id,
        "phase": stored.run.phase,
        "over": stored.run.over,
        "reason": stored.run.reason,
        "plan": plan_of(stored.rollout),
        "plan_hash": stored.run.plan_hash,
        "plan_text": plan_lines(stored.rollout),
        "weights": dict(stored.run.written),
        "events": stored.events,
        "failed_requests": sum(int(entry.get("failed_requests") or 0) for entry in stored.events),
        "began": stored.events[0]["at"] if stored.events else None,
        "ended": stored.events[-1]["at"] if stored.events and stored.run.over else None,
    }
    tampered = checksum.record_inconsistencies(content)
    verification = {
        "verified": not tampered,
        "first_tampered": record.first_tampered(stored.events),
        "tampered": tampered,
    }
    return checksum.checksummed({**content, **verification}, key)


def write_events(
    cluster: Cluster,
    service: ServiceRef,
    stored: Stored,
    entries: Sequence[Mapping[str, t.Any]],
    now: datetime.datetime,
) -> None:
    """Write Events on the Service, as shown by `kubectl describe service`: for the first and the last transition.

    entries: new ones of the audit log. Entries without a change of phase get no Event. Raises ApiError.
    """
    moves = [one for one in entries if one["from"] != one["to"]]
    if not moves or service.is_outside:  # Events are about an object, and a host is none
        return
    moves = [moves[0], *moves[1:][-1:]]
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = cluster.get(SERVICE, service.namespace, service.name)
    about = {"apiVersion": "v1", "kind": "Service", "namespace": service.namespace, "name": service.name}
    for entry in moves:
        event, phase = str(entry["event"]), str(entry["to"]).replace("_", " ")
        number = f"{len(stored.events):04x}.{entry['step']:x}.{event.replace('_', '-')}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{service.name}.{stored.run.id}.{number}", "namespace": service.namespace},
            "involvedObject": {**about, **({"uid": found["metadata"]["uid"]} if found else {})},
            "reason": "Canary" + "".join(word.capitalize() for word in event.split("_")),
            "message": f"{stored.rollout.canary}: {phase}: {entry['reason']}"[:MAX_MESSAGE_CHARS],
            "type": "Warning" if event in _WARNINGS else "Normal",
            "source": {"component": "meshops.canary"},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        cluster.create(EVENT, service.namespace, body)


def _summary(stored: Stored, *, resumed: bool) -> str:
    run, rollout = stored.run, stored.rollout
    step = transitions.step_of(rollout, run)
    share = f"{step.weight:g}%{' and a cohort' if transitions.desired_cohort(rollout, run) else ''}"
    where = f"step {run.at + 1} of {len(rollout.steps)}, {share}"
    again = "resumed: " if resumed else ""
    because = f" ({run.reason})" if run.reason else ""
    return f"{run.service} {rollout.stable} -> {rollout.canary}: {again}{run.phase.replace('_', ' ')}, {where}{because}"
