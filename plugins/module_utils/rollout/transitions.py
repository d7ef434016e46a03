# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an event does to a run: the state machine with weights, verdicts and gates. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..analysis.sequential import stable_evidence
from ..analysis.verdict import Judgement, Verdict
from ..objects.weights import TOLERANCE, same_split
from . import adapt, cohort
from .approval import UNREADABLE_SECONDS
from .state_machine import ENDS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .record import Run
    from .state_machine import Event, Phase
    from .steps import Rollout, Step

Transition = tuple["Run", list[dict[str, t.Any]]]
_BACK_PHASES: t.Final[frozenset[Phase]] = frozenset(("rolling_back", "rolled_back"))
_FORWARD_PHASES: t.Final[frozenset[Phase]] = frozenset(("promoting", "promoted"))
_WAIT_MARGIN: t.Final = 120.0
"""Seconds added to a wait, for requests and for the tasks in between."""
_NUMBERS: t.Final = ("numbers", "failed_requests", "reaction_seconds", "measurements", "seconds", "source")


def step_of(rollout: Rollout, run: Run) -> Step:
    """Return the current step of the run; the last one if the record has a larger index."""
    return rollout.steps[min(run.at, len(rollout.steps) - 1)]


def desired_weights(rollout: Rollout, run: Run) -> dict[str, float]:
    """Return the weights of the routes at the end of the run's phase.

    A version that an earlier plan gave requests to and that is not in this one gets 0, so no third version serves.
    """
    if run.phase in _BACK_PHASES:
        wanted = dict(run.safe)
    elif run.phase in _FORWARD_PHASES:
        wanted = rollout.weights(100.0)
    elif run.phase == "stopped":
        wanted = dict(run.written or run.safe)
    else:
        wanted = rollout.weights(step_of(rollout, run).weight)
    return {**dict.fromkeys((*run.written, *run.safe), 0.0), **wanted}


def desired_cohort(rollout: Rollout, run: Run) -> list[Mapping[str, t.Any]]:
    """Return the cohort whose requests all go to the canary at the end of the run's phase; [] for none."""
    return [] if run.phase in (*_BACK_PHASES, *_FORWARD_PHASES, "stopped") else list(step_of(rollout, run).cohort)


def cohort_due(rollout: Rollout, run: Run) -> bool:
    """Return whether a cohort must be routed before the weights: not if the run has already written it."""
    wanted = _desired_cohort_text(rollout, run)
    return bool(wanted) and wanted != run.cohort


def _desired_cohort_text(rollout: Rollout, run: Run) -> str:
    return cohort.describe(desired_cohort(rollout, run), rollout.canary)


def cohorts_to_end(rollout: Rollout, run: Run) -> list[str]:
    """Return the names of the cohorts to remove together with the next write of weights.

    A run that was killed or superseded may have left one that is not in the record.
    """
    left = bool(run.cohort)
    if run.phase in ("rolling_back", "promoting"):
        left = left or any(step.cohort for step in rollout.steps)
    return [cohort.NAME] if left and run.phase not in ENDS and not desired_cohort(rollout, run) else []


def drift(rollout: Rollout, run: Run, found: Mapping[str, float], cohort_found: str | None = None) -> str:
    """Return a description of how the routes differ from what this run wrote; empty without a difference.

    found: the weights on the object. cohort_found: description of the rollout's cohort there; None if it was not read.
    A run that was killed may have written without recording it, so the phase's desired state is no drift either.
    """
    if run.phase in ENDS or not run.written:
        return ""
    changes = _weight_changes(rollout, run, found)
    expected = (run.cohort, _desired_cohort_text(rollout, run))
    if cohort_found is not None and cohort_found not in expected:
        changes.append(f"cohort {cohort.NAME}: {run.cohort or 'none'} -> {cohort_found or 'none'}")
    return f"{run.service}: {', '.join(changes)} (written by this rollout -> found now)" if changes else ""


def _weight_changes(rollout: Rollout, run: Run, found: Mapping[str, float]) -> list[str]:
    if same_split(found, run.written) or same_split(found, desired_weights(rollout, run)):
        return []
    versions = [*run.written, *(version for version in found if version not in run.written)]
    return [
        f"{version} {run.written.get(version, 0):g}% -> {found.get(version, 0):g}%"
        for version in versions
        if abs(run.written.get(version, 0) - found.get(version, 0)) > TOLERANCE
    ]


def adopt_drift(rollout: Rollout, run: Run, found: Mapping[str, float], now: float, cohort_found: str = "") -> Run:
    """Return the run with the drift adopted: it continues from the highest step at or below the canary's weight.

    That step's cohort is routed again, because the plan sets it and not the external change.
    """
    at = max(0, _reached(rollout, found.get(rollout.canary, 0.0)))
    known = replace(run, written=dict(found), cohort=cohort_found)
    return replace(known, at=at, phase="preparing", since=now, consecutive_passes=0, reason="external change adopted")


def _reached(rollout: Rollout, share: float) -> int:
    """Return the index of the highest step at or below the canary's percent, -1 if there is none."""
    return max((index for index, step in enumerate(rollout.steps) if step.weight <= share + TOLERANCE), default=-1)


def restore_after_drift(run: Run, now: float, cohort_found: str = "") -> Run:
    """Return the run that restores its own weights and cohort; their pods become ready first."""
    phase: Phase = run.phase if run.phase in (*_BACK_PHASES, *_FORWARD_PHASES) else "preparing"
    return replace(
        run, phase=phase, since=now, cohort=cohort_found, reason="restoring the weights after an external change"
    )


def resume(run: Run, now: float) -> Run:
    """Return a stopped run as resumed: a promotion is finished, any other phase begins with the step's pods."""
    phase: Phase = "promoting" if run.stopped_in == "promoting" else "preparing"
    return replace(run, phase=phase, stopped_in="", since=now)


def judged_again(rollout: Rollout, run: Run, found: Mapping[str, float], now: float) -> Run:
    """Return the run as far as the routes prove it: whoever can edit a record can claim verdicts that never were.

    rollout: the plan that the command asks for. found: version -> percent of the routes now, which only a write to the
    routes can change. The step whose share the canary has is observed from its beginning, with no evidence yet; a
    promotion goes on only where the canary has more than the last step gives it. Where stable has no requests there is
    nothing to compare with but earlier evidence, so the rollout goes back to the last step at which stable has some.
    The weights of a rollback are those of the plan, and versions that nobody knows are left out.
    """
    share, last = found.get(rollout.canary, 0.0), len(rollout.steps) - 1
    reached = _reached(rollout, share)
    known = {*found, *rollout.weights(0.0)}
    written = {version: percent for version, percent in run.written.items() if version in known}
    run = replace(run, safe=safe_weights(rollout), written=written, evidence={}, consecutive_passes=0)
    if run.phase == "rolling_back":
        return run
    claimed = min(run.at, last)
    if run.phase == "promoting":
        everything = rollout.weights(100.0)[rollout.canary]
        if rollout.steps[last].weight + TOLERANCE < everything <= share + TOLERANCE:
            return run
        claimed = last
    elif run.phase in ("preparing", "shifting"):
        if claimed == 0 or (claimed == reached and _is_judged_alone(rollout, claimed)):
            return run  # its share is judged when it is there
        if claimed != reached:
            claimed -= 1
    elif run.phase == "gated":  # it will come to this gate again, which may be answered by now
        run = replace(run, gates=max(0, run.gates - 1))
    at = min(claimed, reached)
    if at < 0:
        return replace(run, phase="preparing", at=0, since=now)
    judged = next((index for index in range(at, -1, -1) if _is_judged_alone(rollout, index)), at)
    return replace(run, phase="observing" if judged == at else "preparing", at=judged, since=now)


def _is_judged_alone(rollout: Rollout, index: int) -> bool:
    """Return whether a step needs no evidence of the one before: stable has requests too, or nothing is judged."""
    step = rollout.steps[index]
    return not step.analysis or rollout.weights(step.weight).get(rollout.stable, 0.0) > TOLERANCE


def writes_next(after: Run) -> bool:
    """Return whether the next action writes routes or pods, and so could overwrite an external change."""
    return after.phase in ("preparing", "shifting", "promoting")


def apply_drift(
    rollout: Rollout,
    run: Run,
    event: Event,
    transition: Transition,
    found: Mapping[str, float],
    now: float,
    policy: str,
    drift: str,
    cohort_found: str = "",
) -> Transition:
    """Return the run and its new audit log entries after drift was found together with `event`.

    transition: the result of `event` alone. policy: stop, adopt or restore (by the write that follows `event`). drift:
    description of the change. cohort_found: the rollout's cohort as it was found. A failure together with drift ends
    the rollout without a step back.
    """
    if event == "fail" or run.weak_failure or policy == "stop":
        weak_failure = replace(run, weak_failure=run.weak_failure or event == "fail")
        return advance(rollout, weak_failure, "drift", now, note=drift)
    if policy == "restore":
        after, entries = replace(transition[0], cohort=cohort_found), transition[1]
    else:
        after, entries = adopt_drift(rollout, run, found, now, cohort_found), []
    to = run.phase if policy == "restore" else after.phase
    entry = {"event": "drift", "from": run.phase, "to": to, "step": run.at, "reason": f"{policy}: {drift}"}
    return after, [{**entry, "weight": rollout.steps[run.at].weight}, *entries]


def longest_wait(rollout: Rollout) -> float:
    """Return the maximum seconds between two records: pods of both versions, proxies, a verdict, a gate."""
    waits = (max(2 * step.deadline, _gate_wait(step)) for step in rollout.steps)
    return max(waits) + _WAIT_MARGIN


def _gate_wait(step: Step) -> float:
    return {"none": 0.0, "manual": step.gate_limit + UNREADABLE_SECONDS}.get(step.gate, step.gate_limit)


def advance(
    rollout: Rollout,
    run: Run,
    event: Event,
    now: float,
    *,
    verdict: Mapping[str, t.Any] | None = None,
    note: str = "",
) -> tuple[Run, list[dict[str, t.Any]]]:
    """Return the run after `event`, and an entry of the audit log for each transition.

    verdict: the result of canary_analysis, or None. A pass also opens the gate of a step with gate `none`; after the
    last step it promotes. With adapt a weak failure is one step back instead of the end. At the deadline of a manual
    gate its default applies. Raises ImpossibleEvent.
    """
    parsed = _verdict(event, verdict, note)
    evidence = dict((verdict or {}).get("evidence") or run.evidence)
    entries: list[dict[str, t.Any]] = []

    def follow(before: Run, name: Event, reason: str, **fields: t.Any) -> Run:
        after = before.after(name, now, reason=reason, **fields)
        entry = {"event": name, "from": before.phase, "to": after.phase, "step": before.at, "reason": reason}
        entries.append({**entry, "weight": rollout.steps[before.at].weight})
        return after

    step = step_of(rollout, run)
    why = note or "; ".join(parsed.reasons) or _default_reason(event, step)
    if event == "fail" and run.phase == "observing":
        move = adapt.next_step(
            rollout.steps,
            run.at,
            parsed,
            consecutive_passes=run.consecutive_passes,
            step_backs=run.step_backs,
            adapt=rollout.adapt,
        )
        if move.to is None:
            run = follow(run, "fail", move.reason, evidence=evidence, consecutive_passes=0)
        else:
            fields = {
                "at": move.to,
                "consecutive_passes": 0,
                "step_backs": run.step_backs + 1,
                "evidence": stable_evidence(evidence),
                "weak_failure": True,
            }
            run = follow(run, "step_back", move.reason, **fields)
    elif event == "pass" and run.phase == "observing":
        run = follow(
            run,
            "pass",
            why,
            consecutive_passes=run.consecutive_passes + step.analysis,
            evidence=evidence,
            weak_failure=False,
        )
        if step.gate == "none":
            run = _open_gate(rollout, run, parsed, follow)
    elif run.phase == "gated" and (event in ("approved", "last_step") or _opens_by_default(event, step)):
        run = _open_gate(rollout, replace(run, evidence=evidence), parsed, follow)
    elif event == "drained":
        run = follow(run, event, run.reason)
    elif event in ("shifted", "done"):
        written = {"written": desired_weights(rollout, run), "cohort": _desired_cohort_text(rollout, run)}
        run = follow(run, event, why or run.reason, **written)  # keeps the reason why it came to this phase
    elif event in ("pass", "inconclusive"):
        run = follow(run, event, why, evidence=evidence)
    else:
        run = follow(run, event, why)
        if run.phase == "stopped" and run.weak_failure:  # drift must not keep requests on a failed version
            run = follow(run, "abort", f"the last verdict was a failure; {why}")
    if entries and verdict:
        entries[0]["verdict"] = parsed.outcome
        entries[0].update({name: verdict[name] for name in _NUMBERS if name in verdict})
    return run, entries


def _open_gate(rollout: Rollout, run: Run, verdict: Verdict, follow: t.Callable[..., Run]) -> Run:
    if run.at >= len(rollout.steps) - 1:
        return follow(run, "last_step", f"{rollout.canary} passed the last step of {rollout.steps[-1].weight:g}%")
    passed = verdict if verdict.outcome == "pass" else replace(verdict, outcome="pass")
    move = adapt.next_step(
        rollout.steps,
        run.at,
        passed,
        consecutive_passes=run.consecutive_passes,
        step_backs=run.step_backs,
        adapt=rollout.adapt,
    )
    to = run.at + 1 if move.to is None else move.to
    consecutive_passes = 0 if to > run.at + 1 else run.consecutive_passes
    return follow(run, "approved", move.reason, at=to, consecutive_passes=consecutive_passes)


def _default_reason(event: Event, step: Step) -> str:
    """Return the reason for an event without a note or verdict."""
    return adapt.NO_ANALYSIS if event == "pass" and not step.analysis else ""


def _opens_by_default(event: Event, step: Step) -> bool:
    return event == "deadline" and step.gate == "manual" and step.gate_default == "continue"


def _verdict(event: Event, raw: Mapping[str, t.Any] | None, note: str) -> Verdict:
    """Return the verdict in a task's result; without one, the verdict that the event implies."""
    recorded = (raw or {}).get("verdict", "inconclusive")
    outcome: t.Any = event if event in ("pass", "fail", "inconclusive") else recorded
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
