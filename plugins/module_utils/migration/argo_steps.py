# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of an Argo Rollout as steps of a rollout. Pure.

Argo lists instructions, a rollout here lists states: a share of the requests with all that happens while it lasts.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ..rollout.steps import MAX_STEPS, MAX_WAIT_SECONDS
from . import cohorts
from .translation import LONGEST_PAUSE, Json, tidy

if t.TYPE_CHECKING:
    from .argo_analysis import Analysis
    from .manifest import Node
    from .translation import Translation

KNOWN: t.Final = (
    *("setWeight", "pause", "setCanaryScale", "setHeaderRoute", "setMirrorRoute", "analysis", "experiment", "plugin"),
)
BY_TASK: t.Final = (
    "Use a task file of your own (rollout_before_step, rollout_after_step), where the step is `rollout_step`."
)


@dataclass
class Stage:
    """What happens at one share. waited: whether anything happened yet that takes time."""

    weight: float
    cohort: list[Json]
    replicas: int | None
    pause: float = 0.0
    gates: int = 0
    analysis: bool = False
    waited: bool = False


@dataclass
class Steps:
    """Reads the steps one after the other. maximum: what setWeight counts as all requests. replicas: of the Rollout.

    background: index of the step from which the background analysis runs, None without one.
    by_pods: whether the ratio of pods makes the share, where there are no cohorts.
    """

    translation: Translation
    analysis: Analysis
    replicas: int
    maximum: float
    background: int | None
    by_pods: bool
    stages: list[Stage] = field(default_factory=list)
    now: Stage = field(default_factory=lambda: Stage(0.0, [], None))
    routes: dict[str, list[Json]] = field(default_factory=dict)
    index: int = 0

    def read(self, nodes: list[Node]) -> list[Json]:
        """Return the steps; the last one is of 100 percent, which is Argo's promotion."""
        if len(nodes) > 10 * MAX_STEPS:
            raise nodes[0].manifest.error(nodes[0].path[:-1], f"has more than {10 * MAX_STEPS} steps.")
        for self.index, node in enumerate(nodes):
            known = [name for name in KNOWN if node.has(name)]
            if len(known) != 1:
                raise node.manifest.error(node.path, f"must have exactly one of {', '.join(KNOWN)}.")
            getattr(self, f"_{known[0].lower()}")(node)
        self._close()
        if self.by_pods:
            return self._of_pods(nodes)
        if not self.stages or self.stages[-1].weight < 100.0:
            self.stages.append(Stage(100.0, self.stages[-1].cohort if self.stages else [], None))
        if len(self.stages) > MAX_STEPS:
            raise nodes[0].manifest.error(nodes[0].path[:-1], f"makes more than {MAX_STEPS} steps.")
        return self._made()

    def _made(self) -> list[Json]:
        before = [Stage(0.0, [], None), *self.stages]
        return [self._step(stage, earlier) for stage, earlier in zip(self.stages, before, strict=False)]

    def _of_pods(self, nodes: list[Node]) -> list[Json]:
        """Return the steps below 100 percent, which is the promotion where the ratio of pods makes the share."""
        below = [stage for stage in self.stages if stage.weight < 100.0]
        last = self.stages[-1] if self.stages else None
        if last is not None and last not in below and (last.gates or last.pause or last.analysis) and below:
            below[-1].gates += last.gates
            self.translation.note(
                nodes[0], "", "Without a mesh 100 percent is the promotion; a gate there belongs to the step before."
            )
        self.stages = below
        return self._made()

    def _step(self, stage: Stage, before: Stage) -> Json:
        step: Json = {"weight": tidy(stage.weight), "pause": stage.pause, "analysis": stage.analysis}
        if stage.cohort != before.cohort:
            step["cohort"] = cohorts.cohort_of(stage.cohort)
        if stage.replicas is not None:
            step["replicas"] = stage.replicas
        if stage.gates:
            step |= {"gate": "manual", "gate_seconds": tidy(MAX_WAIT_SECONDS), "gate_default": "rollback"}
        return step

    def _close(self) -> None:
        """End the stage. One of 0 percent without a cohort is no step, since the canary gets nothing."""
        stage, before = self.now, self.stages[-1] if self.stages else None
        if stage.weight == 0.0 and not stage.cohort:
            return
        if before is not None and (before.weight, before.cohort) == (stage.weight, stage.cohort):
            before.pause = min(before.pause + stage.pause, LONGEST_PAUSE)
            before.gates += stage.gates
            before.analysis = before.analysis or stage.analysis
            before.replicas = stage.replicas if stage.replicas is not None else before.replicas
            return
        self.stages.append(stage)

    def _advance(self, **changes: t.Any) -> None:
        """Go on to a stage with changes; the one before ends if anything happened in it that takes time."""
        if self.now.waited:
            self._close()
        now = self.now
        state: Json = {"weight": now.weight, "cohort": now.cohort, "replicas": now.replicas, **changes}
        judged = self.background is not None and self.index >= self.background
        self.now = Stage(**state, analysis=judged)

    def _waits(self, node: Node, name: str) -> bool:
        """Record that time passes; return whether the canary gets requests meanwhile."""
        if self.now.weight == 0.0 and not self.now.cohort:
            node.list_missing(
                name,
                "The canary has no requests yet, and a step of 0 percent needs a cohort.",
                "Use rollout_before, a task file that runs before the first step.",
            )
            return False
        self.now.waited = True
        if self.background is not None and self.index >= self.background:
            self.now.analysis = True
        return True

    def _setweight(self, node: Node) -> None:
        given = node.whole("setWeight", 0, int(self.maximum))
        weight = round((given or 0.0) * 100.0 / self.maximum, 3)
        if self.now.weight and not self.now.waited:
            self.now.waited = True  # a share that only the next one follows is a step without a pause
        if weight < self.now.weight or (self.stages and weight < self.stages[-1].weight):
            node.list_missing(
                "setWeight",
                "A step never lowers the share; only a rollback does.",
                "Roll back, or leave the step out. The share stays as it is at this step.",
            )
            return
        if weight == self.now.weight:
            return
        self._advance(weight=weight)

    def _pause(self, node: Node) -> None:
        pause = node.mapping("pause")
        if not self._waits(node, "pause") or pause is None:
            return
        seconds = pause.seconds("duration")
        if not seconds:
            node.note("pause")
            self._gate(node)
            return
        if self.now.gates:
            self.translation.note(
                node, "pause", "The pause comes before the gate of its step, since a step is observed before its gate."
            )
        if self.now.pause + seconds > LONGEST_PAUSE:
            pause.list_missing(
                "duration", "A pause is five days at most.", "It is cut. Use a manual gate for longer waits."
            )
        self.now.pause = min(self.now.pause + seconds, LONGEST_PAUSE)

    def _gate(self, node: Node) -> None:
        self.now.gates += 1
        if self.now.gates > 1:
            node.list_missing(
                "pause",
                "The step has a gate already, and one step has one gate.",
                "One approval counts for both. Split the step at a share between if you need two.",
            )
        self.translation.note(
            node,
            "pause",
            "A pause without a duration becomes a manual gate. After a week without an answer it rolls back.",
        )

    def _setcanaryscale(self, node: Node) -> None:
        scale = node.mapping("setCanaryScale")
        if scale is None:
            return
        if self.by_pods:
            node.list_missing("setCanaryScale", "The share sets the number of pods.", "Leave it out.")
            return
        replicas = scale.whole("replicas", 0, 100_000)
        percent = scale.number("weight", 0.0, 100.0)
        if scale.flag("matchTrafficWeight"):
            replicas = percent = None
        if percent is not None:
            replicas = math.ceil(percent * self.replicas / 100.0)
            self.translation.note(scale, "weight", f"{percent:g} % of the {self.replicas} pods in spec.replicas.")
        if replicas is not None:
            self.translation.note(
                node, "setCanaryScale", "The number of pods is a minimum; with rollout_capacity the load can add pods."
            )
        if self.now.waited:
            self._advance(replicas=replicas or None)
        self.now.replicas = replicas or None

    def _setheaderroute(self, node: Node) -> None:
        route = node.mapping("setHeaderRoute")
        if route is None:
            return
        name = route.text("name")
        if self.by_pods:
            node.list_missing(
                "setHeaderRoute", "The ratio of pods cannot select requests.", "Use the routes of a mesh."
            )
            return
        found = [one for one in (self._header(match) for match in route.items("match")) if one]
        if not route.value.get("match"):
            self.routes.pop(name, None)
        elif found:
            self.routes[name] = found
        else:
            return
        cohort = [one for listed in self.routes.values() for one in listed]
        if cohort != self.now.cohort:
            self._advance(cohort=cohort)

    def _header(self, match: Node) -> Json | None:
        value = match.mapping("headerValue")
        condition = cohorts.condition_of(value) if value else None
        return cohorts.checked(match, cohorts.header(match.text("headerName"), condition))

    def _setmirrorroute(self, node: Node) -> None:
        node.list_missing(
            "setMirrorRoute",
            "Mirroring is no part of a step.",
            "Use a task of canary_mirror with version and percent in rollout_before_step.",
        )

    def _analysis(self, node: Node) -> None:
        inside = node.mapping("analysis")
        if inside is None or not self._waits(node, "analysis"):
            return
        self.now.analysis = True
        seconds = self.analysis.add(inside, waits=True)
        self.now.pause = min(self.now.pause + seconds, LONGEST_PAUSE)

    def _experiment(self, node: Node) -> None:
        inside = node.mapping("experiment")
        refs = [one.value.get("specRef") for one in inside.items("templates")] if inside else []
        instead = "Check it in a task file of your own (rollout_before), for example with canary_verify."
        if "stable" in refs:
            instead = (
                "Set rollout_baseline to a version with the image of stable in pods of its own. The canary is then "
                "compared with it at each step, by statistical tests."
            )
        node.list_missing("experiment", "An experiment beside the rollout has no counterpart.", instead)

    def _plugin(self, node: Node) -> None:
        node.list_missing("plugin", "Plugins of steps run inside Argo's controller.", BY_TASK, blocking=True)
