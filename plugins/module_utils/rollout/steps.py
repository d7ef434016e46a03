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
MAX_WAIT_SECONDS: t.Final = 604_800.0
"""The longest deadline or gate: a week, so that a gate can stay closed over a long weekend."""
POD_START_SECONDS: t.Final = 30.0
"""Seconds that pods usually take to start."""


@dataclass(frozen=True)
class Step:
    """One step. weight: percent of requests for the canary, 0 to 100. pause: minimum seconds to observe.

    deadline: seconds after which a step without a verdict rolls back. replicas: minimum ready canary pods, None for as
    many as the capacity needs. gate: none, timed (opens after `gate_seconds` with a pass; without one it waits
    `deadline` more, then rolls back) or manual (needs an approval; after `gate_seconds` gate_default applies).
    analysis: whether the step is analyzed. cohort: alternative matches (see cohort.parse) whose requests all go to the
    canary during this step, in addition to `weight` percent of the other requests; empty for none. A step of 0 percent
    has a cohort.
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
        """Return the seconds after which the default of an unanswered gate applies."""
        return self.gate_seconds + (self.deadline if self.gate == "timed" else 0.0)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the step in the form of options, record and reports."""
        return {**vars(self), "cohort": list(self.cohort)}


@dataclass(frozen=True)
class Rollout:
    """The plan of a rollout. keep: version -> percent of other versions; stable and canary share the rest.

    image: image of the canary when the ratio of pods makes the shares; stable and canary are Deployments then.
    container: the one with that image, empty for kubectl's default. baseline: a version with stable's image in new
    pods of its own, which the canary is compared with; empty to compare with stable.
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
        """Return whether the ratio of pods makes the shares, and not the routes."""
        return bool(self.image)

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the versions of the plan: stable, canary, the baseline if there is one, and those in `keep`."""
        return tuple(dict.fromkeys((self.stable, self.canary, *filter(None, (self.baseline,)), *self.keep)))

    def weights(self, share: float) -> dict[str, float]:
        """Return version -> percent when the canary has `share` percent; the versions in `keep` are unchanged.

        A baseline gets as much as the canary, but at most half of the remainder, so that stable keeps some.
        """
        rest = 100.0 - sum(self.keep.values())
        canary = _rounded(min(share, rest))
        baseline = _rounded(min(canary, (rest - canary) / 2.0)) if self.baseline else 0.0
        shares = {self.stable: _rounded(rest - canary - baseline), self.canary: canary}
        return {**self.keep, **shares, **({self.baseline: baseline} if self.baseline else {})}

    @property
    def comparison_version(self) -> str:
        """Return the version that the canary is compared with."""
        return self.baseline or self.stable


def share_ahead(steps: Sequence[Step], at: int) -> float | None:
    """Return the percent whose pods can start during step `at`; None if there is no later step.

    That is the percent of the next step, or of a later one that begins within POD_START_SECONDS of it: a step lasts at
    least its pause and its gate.
    """
    passed, ahead = 0.0, None
    for step in steps[at + 1 :]:
        if passed >= POD_START_SECONDS:
            break
        ahead = step.weight
        passed += step.pause + (step.gate_seconds if step.gate != "none" else 0.0)
    return ahead


def steps_from(options: Mapping[str, t.Any]) -> tuple[Step, ...]:
    """Return the steps that the options describe.

    options: either `steps` (a list of percents or of mappings with the fields of Step), or `shape` (linear or
    exponential) with `start` (percent) and `by` (percent added, or factor), plus defaults for every step.
    A cohort applies until a later step sets another one, {} for none; `cohort` is that of the first step.
    The last step is always 100. Raises InvalidInput with the option and the step.
    """
    defaults = {
        key: options[key]
        for key in ("pause", "deadline", "gate", "gate_seconds", "gate_default", "analysis")
        if key in options
    }
    listed = options.get("steps")
    if listed is not None and options.get("shape") is not None:
        raise InvalidInput("steps and shape exclude each other: list the steps, or set shape with start and by")
    raw = listed if listed is not None else _steps_of_shape(options)
    cohort: Sequence[Mapping[str, t.Any]] = cohorts.parse(options.get("cohort"), "cohort")
    steps: list[Step] = []
    for index, one in enumerate(raw):
        steps.append(_step(index, one, {**defaults, "cohort": cohort}))
        cohort = steps[-1].cohort
    return _validated(steps, {**defaults, "cohort": cohort})


def by_pods(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps without the last one of 100 percent, which is the promotion when the ratio of pods decides.

    Raises InvalidInput if no step is left, or a step needs what the ratio of pods cannot provide.
    """
    for index, step in enumerate(steps):
        if step.replicas is not None:
            raise InvalidInput(
                f"steps[{index}].replicas: with route_api=replicas the weight sets the number of pods; leave it out"
            )
        if step.cohort:
            raise InvalidInput(
                f"cohort (steps[{index}]): the ratio of pods cannot select requests by their headers. Leave the cohort "
                "out, or use the routes of a mesh (route_api other than replicas)"
            )
    shares = tuple(step for step in steps if step.weight < 100.0)
    if not shares:
        raise InvalidInput(
            "steps: with route_api=replicas a step below 100 percent is needed; use the playbook rolling_update to "
            "replace all pods at once"
        )
    if steps[-1].gate != "none" and shares[-1].gate == "none":
        raise InvalidInput(
            "steps: with route_api=replicas 100 percent is the promotion, which has no gate; set the gate at the step "
            f"of {shares[-1].weight:g} percent instead"
        )
    return shares


def check_keep(rollout: Rollout) -> None:
    """Raise InvalidInput for a step with at least the percent that `keep` leaves, which the last step has too."""
    rest = 100.0 - sum(rollout.keep.values())
    for index, step in enumerate(rollout.steps):
        if rest <= step.weight < 100.0:
            raise InvalidInput(
                f"steps[{index}].weight is {step.weight:g}, but keep leaves {rest:g} percent for {rollout.canary}, "
                f"which the last step gives to it. Set the step below {rest:g}, or leave it out."
            )


def check_baseline(rollout: Rollout) -> None:
    """Raise InvalidInput for a baseline that is another version of the plan, or has no requests to compare with."""
    others = (rollout.stable, rollout.canary, *rollout.keep)
    if not rollout.baseline:
        return
    if rollout.by_pods:
        raise InvalidInput(
            "baseline: with route_api=replicas the canary is compared with stable; leave the baseline out."
        )
    if rollout.baseline in others:
        raise InvalidInput(
            f"baseline: {rollout.baseline} is stable, canary or in keep. Name a separate version that runs the image "
            f"of {rollout.stable}, or leave the baseline out."
        )
    analyzed = next(((index, step) for index, step in enumerate(rollout.steps) if step.analysis), None)
    if analyzed is not None and not rollout.weights(analyzed[1].weight)[rollout.baseline]:
        raise InvalidInput(
            f"baseline: at steps[{analyzed[0]}], the first with an analysis, the canary has {analyzed[1].weight:g}% "
            f"and {rollout.baseline} 0%, so they cannot be compared. Analyze a step between 0 and 100 percent first, "
            "set analysis: false for this step, or leave the baseline out."
        )


def _steps_of_shape(options: Mapping[str, t.Any]) -> list[float]:
    shape, start, by = options.get("shape") or "exponential", float(options.get("start", 1)), options.get("by")
    if not 0.0 < start <= 100.0:
        raise InvalidInput(f"start must be above 0 and at most 100 (percent), not {start:g}")
    if shape not in ("linear", "exponential"):
        raise InvalidInput(f"shape must be linear or exponential, not {shape!r}; or list the steps with `steps`")
    grow = float(by if by is not None else (10 if shape == "linear" else 2))
    if grow <= (0.0 if shape == "linear" else 1.0):
        minimum = "above 0 (percent added per step)" if shape == "linear" else "above 1 (factor per step)"
        raise InvalidInput(f"by must be {minimum} for the shape {shape}, not {grow:g}")
    weights = [start]
    while weights[-1] < 100.0:
        grown = weights[-1] + grow if shape == "linear" else weights[-1] * grow
        weights.append(_rounded(min(grown, 100.0)))
        if len(weights) > MAX_STEPS:
            raise InvalidInput(f"start {start:g} and by {grow:g} make more than {MAX_STEPS} steps; raise `by`")
    return weights


def _step(index: int, raw: t.Any, defaults: Mapping[str, t.Any]) -> Step:
    fields = dict(raw) if isinstance(raw, dict) else {"weight": raw}
    if "cohort" in fields and (given := fields.pop("cohort")) is not None:
        fields["cohort"] = cohorts.parse(given, f"steps[{index}].cohort")
    unknown = sorted(set(fields) - set(Step.__dataclass_fields__))
    if unknown:
        known = ", ".join(Step.__dataclass_fields__)
        raise InvalidInput(f"steps[{index}] has the unknown field {', '.join(unknown)}; possible are {known}")
    try:
        fields["weight"] = float(fields["weight"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"steps[{index}] needs a weight, a percent from 0 to 100, not {raw!r}") from None
    return Step(**{name: _parse_field(index, name, value) for name, value in {**defaults, **fields}.items()})


def _parse_field(index: int, name: str, value: t.Any) -> t.Any:
    """Return a field in the type of Step; templates turn numbers into text."""
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


def _validated(steps: Sequence[Step], defaults: Mapping[str, t.Any]) -> tuple[Step, ...]:
    if not steps:
        raise InvalidInput("steps is empty: set at least one percent, for example [1, 10, 50, 100]")
    if len(steps) > MAX_STEPS:
        raise InvalidInput(f"steps has {len(steps)} entries; at most {MAX_STEPS} are possible")
    before = 0.0
    cohort: Sequence[Mapping[str, t.Any]] = ()
    for index, step in enumerate(steps):
        new_cohort = step.weight == before and step.cohort != cohort and (step.weight > 0.0 or step.cohort)
        if not (new_cohort or before < step.weight <= 100.0):
            raise InvalidInput(
                f"steps[{index}].weight is {step.weight:g}; it must be above {before:g} and at most 100. Only a step "
                "with another cohort may repeat the weight"
            )
        if not 0.0 <= step.pause < step.deadline:
            raise InvalidInput(
                f"steps[{index}] has a pause of {step.pause:g} s and a deadline of {step.deadline:g} s; the deadline "
                "must be larger"
            )
        for name, possible in (("gate", t.get_args(Gate)), ("gate_default", t.get_args(GateDefault))):
            if (value := getattr(step, name)) not in possible:
                raise InvalidInput(f"steps[{index}].{name} is {value!r}; it must be one of {', '.join(possible)}")
        for name, seconds in (("deadline", step.deadline), ("gate_seconds", step.gate_limit)):
            if not 0.0 <= seconds <= MAX_WAIT_SECONDS:
                also = " together with the deadline" if name == "gate_seconds" and step.gate == "timed" else ""
                raise InvalidInput(
                    f"steps[{index}].{name} is {seconds:g}{also}; it must be between 0 and {MAX_WAIT_SECONDS:g} "
                    "seconds, which is a week"
                )
        before, cohort = step.weight, step.cohort
    if steps[-1].weight < 100.0:
        return (*steps, Step(**{**defaults, "weight": 100.0}))
    return tuple(steps)


def _rounded(percent: float) -> float:
    """Return the percent with three decimals, the finest share that routes are written with."""
    return round(percent, 3)
