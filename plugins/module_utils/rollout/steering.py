# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an event does to a run: the state machine with weights, verdicts and gates put to it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..analysis.verdict import Judgement, Verdict
from ..analysis.watching import fresh
from ..routes.weights import EQUAL, alike
from . import adapt, cohort
from .machine import ENDS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .machine import Event, Phase
    from .plan import Rollout, Step
    from .record import Run

Went = tuple["Run", list[dict[str, t.Any]]]
_BACK: t.Final[frozenset[Phase]] = frozenset(("rolling_back", "rolled_back"))
_ON: t.Final[frozenset[Phase]] = frozenset(("promoting", "promoted"))
_SLACK: t.Final = 120.0
"""Seconds on top of a wait: for requests, and for tasks between."""
BY_ITSELF: t.Final = ("pass", "ready", "drained", "done")
"""Events that may come without anything being done for them; see `comes_by_itself`."""
_NUMBERS: t.Final = ("numbers", "harmed", "reaction_seconds", "looks", "seconds", "source")


def step_of(rollout: Rollout, run: Run) -> Step:
    """Return the step the run is at; the last one if the record says more than there are."""
    return rollout.steps[min(run.at, len(rollout.steps) - 1)]


def weights_wanted(rollout: Rollout, run: Run) -> dict[str, float]:
    """Return the weights that the routes have when the run's phase has done its work.

    A version that has traffic by an earlier plan and is not in this one gets 0, so a third version never serves beside.
    """
    if run.phase in _BACK:
        wanted = dict(run.safe)
    elif run.phase in _ON:
        wanted = rollout.weights(100.0)
    elif run.phase == "stopped":
        wanted = dict(run.written or run.safe)
    else:
        wanted = rollout.weights(step_of(rollout, run).weight)
    return {**dict.fromkeys((*run.written, *run.safe), 0.0), **wanted}


def cohort_wanted(rollout: Rollout, run: Run) -> list[Mapping[str, t.Any]]:
    """Return the cohort that the routes have, with the canary alone, when the phase has done its work; [] for none."""
    return [] if run.phase in (*_BACK, *_ON, "stopped") else list(step_of(rollout, run).cohort)


def cohort_due(rollout: Rollout, run: Run) -> bool:
    """Say whether a cohort is to be routed before the weights are written: not if the run has written it already."""
    wanted = cohort.words(cohort_wanted(rollout, run), rollout.canary)
    return bool(wanted) and wanted != run.cohort


def ending_cohorts(rollout: Rollout, run: Run) -> list[str]:
    """Return the cohorts that are to go with the next write of weights, by name.

    A run that was killed, or was superseded, may have left one that the record does not know.
    """
    left = bool(run.cohort)
    if run.phase in ("rolling_back", "promoting"):
        left = left or any(step.cohort for step in rollout.steps)
    return [cohort.NAME] if left and run.phase not in ENDS and not cohort_wanted(rollout, run) else []


def drift(rollout: Rollout, run: Run, found: Mapping[str, float], beside: str | None = None) -> str:
    """Return in words how the routes differ from what this run wrote; empty if they do not.

    found: the weights on the object. beside: the rollout's cohort there, in words; None where that was not looked for.
    A run that was killed may have written without recording it, so what the phase wants is its own writing too.
    """
    if run.phase in ENDS or not run.written:
        return ""
    changes = _edits(rollout, run, found)
    if beside is not None and beside not in (run.cohort, cohort.words(cohort_wanted(rollout, run), rollout.canary)):
        changes.append(f"cohort {cohort.NAME}: {run.cohort or 'none'} -> {beside or 'none'}")
    return f"{run.service}: {', '.join(changes)} (as this rollout wrote it -> as it is now)" if changes else ""


def _edits(rollout: Rollout, run: Run, found: Mapping[str, float]) -> list[str]:
    if alike(found, run.written) or alike(found, weights_wanted(rollout, run)):
        return []
    versions = [*run.written, *(version for version in found if version not in run.written)]
    return [
        f"{version} {run.written.get(version, 0):g}% -> {found.get(version, 0):g}%"
        for version in versions
        if abs(run.written.get(version, 0) - found.get(version, 0)) > EQUAL
    ]


def adopted(rollout: Rollout, run: Run, found: Mapping[str, float], now: float, beside: str = "") -> Run:
    """Return the run with somebody's edit as its own: it goes on from the highest step that is not above it.

    That step's cohort is routed again, for it is named by the plan and not by the edit.
    """
    share = found.get(rollout.canary, 0.0)
    at = max((index for index, step in enumerate(rollout.steps) if step.weight <= share + EQUAL), default=0)
    known = replace(run, written=dict(found), cohort=beside)
    return replace(known, at=at, phase="preparing", since=now, calm=0, reason="an edit was adopted")


def restored(run: Run, now: float, beside: str = "") -> Run:
    """Return the run that puts its own weights and cohort back, with the pods for them made ready first."""
    phase: Phase = run.phase if run.phase in (*_BACK, *_ON) else "preparing"
    return replace(run, phase=phase, since=now, cohort=beside, reason="an edit is put back")


def unstopped(run: Run, now: float) -> Run:
    """Return a run that was stopped as it goes on: a promotion is finished, else the step's pods come first."""
    phase: Phase = "promoting" if run.stopped_in == "promoting" else "preparing"
    return replace(run, phase=phase, stopped_in="", since=now)


def about_to_write(after: Run) -> bool:
    """Say whether the next thing to happen is a write that nobody's edit may be lost by: of routes, or of pods."""
    return after.phase in ("preparing", "shifting", "promoting")


def drifted(
    rollout: Rollout,
    run: Run,
    event: Event,
    went: Went,
    found: Mapping[str, float],
    now: float,
    policy: str,
    drift: str,
    beside: str = "",
) -> Went:
    """Return the run, and the trail, after somebody's edit was found beside `event`.

    went: what `event` alone leads to. policy: stop, adopt or restore (that is done by the write that `event` leads to).
    drift: the edit in words. beside: the rollout's cohort as it was found. A failure beside it is no step back but the
    end.
    """
    if event == "fail" or run.doubted or policy == "stop":
        doubted = replace(run, doubted=run.doubted or event == "fail")
        return advance(rollout, doubted, "drift", now, note=drift)
    went = (replace(went[0], cohort=beside), went[1])
    after, trail = went if policy == "restore" else (adopted(rollout, run, found, now, beside), [])
    to = run.phase if policy == "restore" else after.phase
    entry = {"event": "drift", "from": run.phase, "to": to, "step": run.at, "reason": f"{policy}: {drift}"}
    return after, [{**entry, "weight": rollout.steps[run.at].weight}, *trail]


def comes_by_itself(rollout: Rollout, run: Run, event: Event) -> bool:
    """Say whether the plan asks for nothing that must be done before `event`.

    A step without pause and analysis passes, one that names no pods is ready, a promotion ends. What the plan does not
    know of (autoscalers' floors, tasks of the user's own) is the caller's to know.
    """
    step = step_of(rollout, run)
    if event == "pass":
        return run.phase == "observing" and not step.analysis and step.pause == 0
    if event == "ready":
        return run.phase == "preparing" and step.replicas is None and not rollout.baseline
    return run.phase == "promoting"


def longest_wait(rollout: Rollout) -> float:
    """Return the seconds that may pass between two records: the pods of both versions, proxies, a verdict, a gate."""
    waits = ((2 * step.deadline, step.gate_limit if step.gate != "none" else 0.0) for step in rollout.steps)
    return max(max(pair) for pair in waits) + _SLACK


def advance(
    rollout: Rollout,
    run: Run,
    event: Event,
    now: float,
    *,
    verdict: Mapping[str, t.Any] | None = None,
    note: str = "",
) -> tuple[Run, list[dict[str, t.Any]]]:
    """Return the run after `event`, and an entry of the trail for each phase it went through.

    verdict: what canary_analysis returned, or None. A step without gate is opened by its own pass; the last one leads
    to promotion. With adapt a weak failure is one step back instead of the end. At the deadline of a manual gate its
    default holds. Raises machine.Impossible.
    """
    judged = _verdict(event, verdict, note)
    evidence = dict((verdict or {}).get("evidence") or run.evidence)
    trail: list[dict[str, t.Any]] = []

    def follow(before: Run, name: Event, reason: str, **fields: t.Any) -> Run:
        after = before.after(name, now, reason=reason, **fields)
        entry = {"event": name, "from": before.phase, "to": after.phase, "step": before.at, "reason": reason}
        trail.append({**entry, "weight": rollout.steps[before.at].weight})
        return after

    step = step_of(rollout, run)
    because = note or "; ".join(judged.reasons) or _unsaid(event, step)
    if event == "fail" and run.phase == "observing":
        move = adapt.move(rollout.steps, run.at, judged, calm=run.calm, back=run.back, adapt=rollout.adapt)
        if move.to is None:
            run = follow(run, "fail", move.reason, evidence=evidence, calm=0)
        else:
            fields = {"at": move.to, "calm": 0, "back": run.back + 1, "evidence": fresh(evidence), "doubted": True}
            run = follow(run, "step_back", move.reason, **fields)
    elif event == "pass" and run.phase == "observing":
        run = follow(run, "pass", because, calm=run.calm + step.analysis, evidence=evidence, doubted=False)
        if step.gate == "none":
            run = _through_gate(rollout, run, judged, follow)
    elif run.phase == "gated" and (event in ("approved", "last_step") or _opens_by_default(event, step)):
        run = _through_gate(rollout, replace(run, evidence=evidence), judged, follow)
    elif event == "drained":
        run = follow(run, event, run.reason)
    elif event in ("shifted", "done"):
        why = because or run.reason  # that it is done is said by the phase; the reason stays why it came there
        beside = cohort.words(cohort_wanted(rollout, run), rollout.canary)
        run = follow(run, event, why, written=weights_wanted(rollout, run), cohort=beside)
    elif event in ("pass", "inconclusive"):
        run = follow(run, event, because, evidence=evidence)
    else:
        run = follow(run, event, because)
        if run.phase == "stopped" and run.doubted:  # nobody's edit keeps requests on a version that failed
            run = follow(run, "abort", f"the last verdict was a failure; {because}")
    if trail and verdict:
        trail[0]["verdict"] = judged.outcome
        trail[0].update({name: verdict[name] for name in _NUMBERS if name in verdict})
    return run, trail


def _through_gate(rollout: Rollout, run: Run, judged: Verdict, follow: t.Callable[..., Run]) -> Run:
    if run.at >= len(rollout.steps) - 1:
        return follow(run, "last_step", f"{rollout.canary} has kept {rollout.steps[-1].weight:g}%: promoted")
    passed = judged if judged.outcome == "pass" else replace(judged, outcome="pass")
    move = adapt.move(rollout.steps, run.at, passed, calm=run.calm, back=run.back, adapt=rollout.adapt)
    to = run.at + 1 if move.to is None else move.to
    calm = 0 if to > run.at + 1 else run.calm
    return follow(run, "approved", move.reason, at=to, calm=calm)


def _unsaid(event: Event, step: Step) -> str:
    """Return why, where nobody has said it."""
    return "not judged, as planned" if event == "pass" and not step.analysis else ""


def _opens_by_default(event: Event, step: Step) -> bool:
    return event == "deadline" and step.gate == "manual" and step.gate_default == "continue"


def _verdict(event: Event, raw: Mapping[str, t.Any] | None, note: str) -> Verdict:
    """Return the verdict a task's result describes; without one, what the event itself says."""
    said = (raw or {}).get("verdict", "inconclusive")
    outcome: t.Any = event if event in ("pass", "fail", "inconclusive") else said
    if not raw:
        return Verdict(outcome, (note,) if note else (), (), None)
    judgements = tuple(
        Judgement(
            str(one.get("metric", "")),
            one.get("verdict", "inconclusive"),
            str(one.get("reason", "")),
            float(one.get("weight", 1.0)),
            bool(one.get("critical")),
            float(one.get("strength", 0.0)),
        )
        for one in raw.get("metrics") or ()
    )
    return Verdict(outcome, tuple(str(one) for one in raw.get("reasons") or ()), judgements, raw.get("score"))


def safe_weights(rollout: Rollout) -> dict[str, float]:
    """Return the weights without the canary."""
    return rollout.weights(0.0)
