# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a rollout, from a list or a shape, checked before the first one runs. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import InvalidInput
from . import cohort as cohorts

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Gate = t.Literal["none", "timed", "manual"]
GateDefault = t.Literal["rollback", "continue"]
MAX_STEPS: t.Final = 100
LONGEST_WAIT: t.Final = 604_800.0
"""Seconds, a week, that anything is waited for at most: a gate may be shut over a weekend and the days beside it."""
POD_START: t.Final = 30.0
"""Seconds in which pods usually start."""


@dataclass(frozen=True)
class Step:
    """One rung. weight: percent of requests for the canary, 0 to 100. pause: least seconds to observe.

    deadline: seconds after which a step without a verdict goes back. replicas: least ready canary pods, None for what
    capacity asks. gate: none, timed (opens after `gate_seconds` of good verdicts; without one it is held for `deadline`
    more, then goes back) or manual (someone approves; at `gate_seconds` gate_default holds). analysis: whether the step
    is judged at all. cohort: alternatives (see cohort.of) whose requests go to the canary entirely, beside the percent
    of everybody else, while the rollout is at this step; empty for none. At 0 percent there is one.
    """

    weight: float
    pause: float = 30.0
    deadline: float = 600.0
    replicas: int | None = None
    gate: Gate = "none"
    gate_seconds: float = 3600.0
    analysis: bool = True
    gate_default: GateDefault = "rollback"
    cohort: Sequence[Mapping[str, t.Any]] = ()

    @property
    def gate_limit(self) -> float:
        """Return the seconds after which an unanswered gate is decided by its default."""
        return self.gate_seconds + (self.deadline if self.gate == "timed" else 0.0)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the step as options, state and reports hold it."""
        return {**vars(self), "cohort": list(self.cohort)}


@dataclass(frozen=True)
class Rollout:
    """Who takes over from whom, and how. keep: versions -> percent that they keep, stable and canary have the rest.

    image: what the canary runs, where shares are made by the ratio of pods; stable and canary are Deployments then.
    container: whose image it is, empty for the first one. baseline: a version with stable's image and pods of its own,
    as new as the canary's, that the canary is judged beside; empty for stable itself.
    """

    service: str
    namespace: str
    stable: str
    canary: str
    steps: tuple[Step, ...]
    adapt: bool = False
    keep: Mapping[str, float] = field(default_factory=dict)
    image: str = ""
    container: str = ""
    baseline: str = ""

    @property
    def by_pods(self) -> bool:
        """Say whether shares are made by the ratio of pods, and not by routes."""
        return bool(self.image)

    def weights(self, share: float) -> dict[str, float]:
        """Return version -> percent when the canary has `share` percent; `keep` keep theirs, stable has the rest.

        A baseline has as much as the canary, but at most half of what the canary leaves: stable is never without.
        """
        rest = 100.0 - sum(self.keep.values())
        canary = _tidy(min(share, rest))
        baseline = _tidy(min(canary, (rest - canary) / 2.0)) if self.baseline else 0.0
        shares = {self.stable: _tidy(rest - canary - baseline), self.canary: canary}
        return {**self.keep, **shares, **({self.baseline: baseline} if self.baseline else {})}

    @property
    def beside(self) -> str:
        """Return the version that the canary is judged beside."""
        return self.baseline or self.stable


def share_ahead(steps: Sequence[Step], at: int) -> float | None:
    """Return the percent whose pods are asked for beside those of step `at`; None if there is no later step.

    That is the next step's, and those of further ones that come within POD_START seconds of it: a step lasts its pause
    at least, and its gate.
    """
    passed, ahead = 0.0, None
    for step in steps[at + 1 :]:
        if passed >= POD_START:
            break
        ahead = step.weight
        passed += step.pause + (step.gate_seconds if step.gate != "none" else 0.0)
    return ahead


def steps_from(options: Mapping[str, t.Any]) -> tuple[Step, ...]:
    """Return the steps an option asks for.

    options: either `steps` (a list of percents or of mappings with the fields of Step), or `shape` (linear or
    exponential) with `start`, `stop` (percent) and `by` (percent added, or factor), plus defaults for every step.
    A cohort holds from its step on until another one names another, {} for none; `cohort` is the first step's.
    The last step is always 100. Raises InvalidInput naming the option and the step.
    """
    defaults = {
        key: options[key]
        for key in ("pause", "deadline", "gate", "gate_seconds", "gate_default", "analysis")
        if key in options
    }
    listed = options.get("steps")
    if listed is not None and options.get("shape") is not None:
        raise InvalidInput("steps and shape exclude each other: list the steps, or name a shape with start and by")
    raw = listed if listed is not None else _shaped(options)
    held: Sequence[Mapping[str, t.Any]] = cohorts.of(options.get("cohort"), "cohort")
    steps: list[Step] = []
    for index, one in enumerate(raw):
        steps.append(_step(index, one, {**defaults, "cohort": held}))
        held = steps[-1].cohort
    return _checked(steps, {**defaults, "cohort": held})


def by_pods(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps without the last one of 100 percent, which by pods is the promotion itself.

    Raises InvalidInput where no share is left, or a step asks for what the ratio of pods cannot give.
    """
    for index, step in enumerate(steps):
        if step.replicas is not None:
            raise InvalidInput(f"steps[{index}].replicas: by pods the weight says how many there are; leave it out")
        if step.cohort:
            raise InvalidInput(
                f"cohort (steps[{index}]): shares made by the ratio of pods cannot tell requests apart. Leave "
                "the cohort out, or make shares by the routes of a mesh (route_api other than replicas)"
            )
    shares = tuple(step for step in steps if step.weight < 100.0)
    if not shares:
        raise InvalidInput("steps: by pods a share below 100 is needed; all at once is the playbook rolling_update")
    if steps[-1].gate != "none" and shares[-1].gate == "none":
        raise InvalidInput(
            f"steps: by pods 100 percent is the promotion, which no gate follows; give the step of "
            f"{shares[-1].weight:g} the gate instead"
        )
    return shares


def check_keep(rollout: Rollout) -> None:
    """Raise InvalidInput for a step that the share of the kept versions makes the same as the last one of 100."""
    rest = 100.0 - sum(rollout.keep.values())
    for index, step in enumerate(rollout.steps):
        if rest <= step.weight < 100.0:
            raise InvalidInput(
                f"steps[{index}].weight is {step.weight:g}, but keep leaves {rest:g} percent for {rollout.canary}, and "
                f"the last step of 100 gives it these. Let the step be below {rest:g}, or leave it out."
            )


def check_baseline(rollout: Rollout) -> None:
    """Raise InvalidInput for a baseline that is another part of the plan, or would never have what it is there for."""
    others = (rollout.stable, rollout.canary, *rollout.keep)
    if not rollout.baseline:
        return
    if rollout.by_pods:
        raise InvalidInput(
            "baseline: by pods the canary is judged beside stable; leave it out with route_api=replicas."
        )
    if rollout.baseline in others:
        raise InvalidInput(
            f"baseline: {rollout.baseline} is stable, canary or kept in this rollout. Name a version of its own that "
            f"runs the image of {rollout.stable}, or leave it out."
        )
    judged = next(((index, step) for index, step in enumerate(rollout.steps) if step.analysis), None)
    if judged is not None and not rollout.weights(judged[1].weight)[rollout.baseline]:
        raise InvalidInput(
            f"baseline: at steps[{judged[0]}], the first that is judged, the canary has {judged[1].weight:g}% and "
            f"{rollout.baseline} nothing to compare it with. Judge a step between 0 and 100 percent first, set "
            "analysis: false for this one, or leave the baseline out."
        )


def _shaped(options: Mapping[str, t.Any]) -> list[float]:
    shape, start, by = options.get("shape") or "exponential", float(options.get("start", 1)), options.get("by")
    stop = float(options.get("stop", 100))
    if not 0.0 < start <= stop <= 100.0:
        raise InvalidInput(f"start and stop must be percents with 0 < start <= stop <= 100, not {start:g} and {stop:g}")
    if shape not in ("linear", "exponential"):
        raise InvalidInput(f"shape must be linear or exponential, not {shape!r}; or list the steps with `steps`")
    grow = float(by if by is not None else (10 if shape == "linear" else 2))
    if grow <= (0.0 if shape == "linear" else 1.0):
        least = "above 0 (percent added a step)" if shape == "linear" else "above 1 (factor a step)"
        raise InvalidInput(f"by must be {least} for the shape {shape}, not {grow:g}")
    weights = [start]
    while weights[-1] < stop:
        grown = weights[-1] + grow if shape == "linear" else weights[-1] * grow
        weights.append(_tidy(min(grown, stop)))
        if len(weights) > MAX_STEPS:
            raise InvalidInput(f"start {start:g} and by {grow:g} make more than {MAX_STEPS} steps; raise `by`")
    return weights


def _step(index: int, raw: t.Any, defaults: Mapping[str, t.Any]) -> Step:
    fields = dict(raw) if isinstance(raw, dict) else {"weight": raw}
    if "cohort" in fields and (said := fields.pop("cohort")) is not None:
        fields["cohort"] = cohorts.of(said, f"steps[{index}].cohort")
    unknown = sorted(set(fields) - set(Step.__dataclass_fields__))
    if unknown:
        known = ", ".join(Step.__dataclass_fields__)
        raise InvalidInput(f"steps[{index}] has {', '.join(unknown)}, which is none of {known}")
    try:
        fields["weight"] = float(fields["weight"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"steps[{index}] needs a weight, a percent of 0 to 100; got {raw!r}") from None
    return Step(**{name: _typed(index, name, value) for name, value in {**defaults, **fields}.items()})


def _typed(index: int, name: str, value: t.Any) -> t.Any:
    """Return a field as Step has it; templates make text of numbers."""
    try:
        if name in ("weight", "pause", "deadline", "gate_seconds"):
            return float(value)
        if name == "replicas":
            return None if value is None else int(value)
        if name == "analysis":
            return {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"steps[{index}].{name} cannot be {value!r}") from None
    return value


def _checked(steps: Sequence[Step], defaults: Mapping[str, t.Any]) -> tuple[Step, ...]:
    if not steps:
        raise InvalidInput("steps is empty: give at least one percent, for example [1, 10, 50, 100]")
    if len(steps) > MAX_STEPS:
        raise InvalidInput(f"steps has {len(steps)} entries; at most {MAX_STEPS} are possible")
    before = 0.0
    held: Sequence[Mapping[str, t.Any]] = ()
    for index, step in enumerate(steps):
        another = step.weight == before and step.cohort != held and (step.weight > 0.0 or step.cohort)
        if not (another or before < step.weight <= 100.0):
            raise InvalidInput(
                f"steps[{index}].weight is {step.weight:g}; it must be above {before:g} and at most 100, or stay as it "
                "is for a step with a cohort of its own"
            )
        if not 0.0 <= step.pause < step.deadline:
            raise InvalidInput(
                f"steps[{index}] waits {step.pause:g} s and ends at {step.deadline:g} s; deadline must be larger"
            )
        for name, possible in (("gate", t.get_args(Gate)), ("gate_default", t.get_args(GateDefault))):
            if (value := getattr(step, name)) not in possible:
                raise InvalidInput(f"steps[{index}].{name} is {value!r}; it must be one of {', '.join(possible)}")
        for name, seconds in (("deadline", step.deadline), ("gate_seconds", step.gate_limit)):
            if not 0.0 <= seconds <= LONGEST_WAIT:
                also = " with the deadline after it" if name == "gate_seconds" and step.gate == "timed" else ""
                raise InvalidInput(
                    f"steps[{index}].{name} is {seconds:g}{also}; it must be between 0 and {LONGEST_WAIT:g} seconds, "
                    "which is a week. Shorten it."
                )
        before, held = step.weight, step.cohort
    if steps[-1].weight < 100.0:
        return (*steps, Step(**{**defaults, "weight": 100.0}))
    return tuple(steps)


def _tidy(percent: float) -> float:
    """Return the percent with three decimals, the finest share routes are written in."""
    return round(percent, 3)
