# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see of a rollout: the task's result, the report, and Kubernetes Events on the Service."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ..cluster_resources import EVENT, SERVICE
from ..rollout import approval, cohort, record, seal, steering
from ..rollout import plan as plans
from ..rollout.machine import WAITS, WAITS_BY_PODS
from ..rollout.plan_options import as_variables
from ..rollout.plan_text import in_lines
from .run_store import plan_of

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef
    from .run_store import Stored

_WARNINGS: t.Final = frozenset({"fail", "deadline", "error", "drift", "abort", "rejected", "step_back", "superseded"})
LONGEST_MESSAGE: t.Final = 1000


def told(
    stored: Stored, holder: tuple[str, str], now: float, *, drift: str = "", resumed: bool = False
) -> dict[str, t.Any]:
    """Return the keys every state returns. holder: who has the lock, and until when. now: epoch seconds."""
    rollout, run = stored.rollout, stored.run
    step = steering.step_of(rollout, run)
    limit = step.gate_limit if run.phase == "gated" else step.deadline
    left = None if run.over else max(0.0, round(run.since + limit - now, 1))
    return {
        "msg": _sentence(stored, resumed=resumed),
        "run": {
            **asdict(run),
            "evidence": {name: list(state) for name, state in run.evidence.items()},
            "over": run.over,
            "begun": any(entry["from"] for entry in stored.events),  # whoever opens it only comes from nowhere
            "stable": rollout.stable,
            "canary": rollout.canary,
            "baseline": rollout.baseline,
            "resting": _resting(stored),
            "weight": step.weight,
            "last": run.at >= len(rollout.steps) - 1,
            "waits_for": (WAITS_BY_PODS if rollout.by_pods else WAITS).get(run.phase, ""),
            "weights_wanted": steering.weights_wanted(rollout, run),
            "share_ahead": plans.share_ahead(rollout.steps, run.at),
            "cohort_wanted": cohort.options(steering.cohort_wanted(rollout, run), rollout.canary),
            "cohort_due": steering.cohort_due(rollout, run),
            "end_cohorts": steering.ending_cohorts(rollout, run),
            "seconds_in_phase": max(0.0, round(now - run.since, 1)),
            "seconds_left": left,
            "holder": holder[0],
            "lease_until": holder[1],
            "ticket": approval.ticket(run) if run.phase == "gated" else "",
            "dead_man": (stored.dead_man or {}).get("job", ""),
        },
        "step": step.as_dict(),
        "steps": [{**one.as_dict(), "weights": rollout.weights(one.weight)} for one in rollout.steps],
        "plan_text": in_lines(rollout),
        "variables": as_variables(rollout),
        "events": len(stored.events),
        "drift": drift,
        "resumed": resumed,
    }


def _resting(stored: Stored) -> list[str]:
    """Return the versions whose pods go at the end: baselines, also that of a rollout whose place this one took."""
    rollout, before = stored.rollout, stored.superseded.rollout.baseline if stored.superseded else ""
    busy = (rollout.stable, rollout.canary, rollout.baseline, *rollout.keep)
    return [*filter(None, [rollout.baseline]), *filter(None, [before if before not in busy else ""])]


def nothing(service: ServiceRef) -> dict[str, t.Any]:
    """Return the same keys where no rollout is recorded."""
    told: dict[str, t.Any] = {
        "run": None,
        "step": None,
        "steps": [],
        "plan_text": [],
        "variables": {},
        "events": 0,
        "drift": "",
        "resumed": False,
    }
    return {**told, "msg": f"No rollout of {service.name} is recorded."}


def report(stored: Stored) -> dict[str, t.Any]:
    """Return everything a report shows, sealed; altered says what in the stored record is not as it was written."""
    told = {
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
        "plan_text": in_lines(stored.rollout),
        "weights": dict(stored.run.written),
        "events": stored.events,
        "harmed": sum(int(entry.get("harmed") or 0) for entry in stored.events),
        "began": stored.events[0]["at"] if stored.events else None,
        "ended": stored.events[-1]["at"] if stored.events and stored.run.over else None,
    }
    altered = seal.of_record(told)
    found = {"intact": not altered, "first_altered": record.first_altered(stored.events), "altered": altered}
    return seal.sealed({**told, **found})


def announce(
    cluster: Cluster,
    service: ServiceRef,
    stored: Stored,
    entries: Sequence[Mapping[str, t.Any]],
    now: datetime.datetime,
) -> None:
    """Write Events on the Service for what has happened and for where it led, as `kubectl describe service` shows them.

    entries: of the trail, which has what lies between the two. Those that changed nothing are left out.
    Raises ApiError at the first that cannot be written.
    """
    news = [one for one in entries if one["from"] != one["to"]]
    if not news:
        return
    news = [news[0], *news[1:][-1:]]
    found = cluster.get(SERVICE, service.namespace, service.name)
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"apiVersion": "v1", "kind": "Service", "namespace": service.namespace, "name": service.name}
    for entry in news:
        event, phase = str(entry["event"]), str(entry["to"]).replace("_", " ")
        number = f"{len(stored.events):04x}.{entry['step']:x}.{event.replace('_', '-')}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{service.name}.{stored.run.id}.{number}", "namespace": service.namespace},
            "involvedObject": {**about, **({"uid": found["metadata"]["uid"]} if found else {})},
            "reason": "Canary" + "".join(word.capitalize() for word in event.split("_")),
            "message": f"{stored.rollout.canary}: {phase}: {entry['reason']}"[:LONGEST_MESSAGE],
            "type": "Warning" if event in _WARNINGS else "Normal",
            "source": {"component": "meshops.canary"},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        cluster.create(EVENT, service.namespace, body)


def _sentence(stored: Stored, *, resumed: bool) -> str:
    run, rollout = stored.run, stored.rollout
    step = steering.step_of(rollout, run)
    share = f"{step.weight:g}%{' and a cohort' if steering.cohort_wanted(rollout, run) else ''}"
    where = f"step {run.at + 1} of {len(rollout.steps)}, {share}"
    again = "goes on: " if resumed else ""
    because = f" ({run.reason})" if run.reason else ""
    return f"{run.service} {rollout.stable} -> {rollout.canary}: {again}{run.phase.replace('_', ' ')}, {where}{because}"
