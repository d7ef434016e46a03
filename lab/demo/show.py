# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells the story: runs each stage's playbooks, measures, judges."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import time
import typing as t

from lab.traffic import Load, TrafficError

from .plain import early_end
from .result import EVERYBODY, Course, Reading, Stage, Story
from .stages import ROLLOUTS, USER, Step

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.traffic import Gateway, Measurement, Place, Running, Sidecar

    from .plain import Plain
    from .player import Ansible, Played
    from .terminal import Terminal
    from .watch import Watch

# Enough to notice five points of deviation with certainty; where all go to one version, fewer say the same.
SPLIT = {"sidecar": 2500, "gateway": 400}
ONE_VERSION = {"sidecar": 800, "gateway": 200}
# Longer than any stage takes: a load that ends before its stage fails it.
STAGE_LIMIT = 900.0
# Three times the background, and enough requests to judge the shares by.
SCALING_RATE, SCALING_REQUESTS, SCALING_LIMIT = 80.0, 1500, 90.0
# What the autoscalers see is half a minute old; a promotion would count the load of before as still to be carried.
CALM_LIMIT = 30.0
INJECTED = "injected fault"
"""What the lab's image says when it was told to fail; no other failure is meant to be."""


@dataclasses.dataclass(frozen=True)
class Flow:
    """A light load that runs through the whole demo: a request lost between two stages counts as well."""

    place: Place
    who: str
    rate: float

    def start(self) -> Running:
        user = "" if self.who == EVERYBODY else self.who
        return self.place.background(
            Load(seconds=STAGE_LIMIT, limit=STAGE_LIMIT, rate=self.rate, connections=2, user=user)
        )


class Show:
    """Runs the steps one after the other and fills `story`."""

    def __init__(
        self,
        story: Story,
        ansible: Ansible,
        watch: Watch,
        plain: Plain,
        sidecar: Sidecar,
        gateway: Gateway,
        terminal: Terminal,
    ) -> None:
        self.story, self._plain = story, plain
        self._ansible, self._watch, self._terminal = ansible, watch, terminal
        self._sidecar, self._gateway = sidecar, gateway
        self._flows = [Flow(sidecar, EVERYBODY, 40), Flow(gateway, EVERYBODY, 8), Flow(sidecar, USER, 20)]
        self._running: list[tuple[Flow, Running]] = []
        self._ahead = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._begun: dict[str, concurrent.futures.Future[Played]] = {}
        self._courses = {who: Course(who, watch.weights[who]) for who in (EVERYBODY, USER)}
        story.courses = list(self._courses.values())
        story.replicas = watch.replicas

    def run(self, steps: Sequence[Step]) -> None:
        """Run all steps; a playbook that fails ends the story, shares that are wrong do not."""
        try:
            for play in (play for step in steps if step.ahead for play in step.plays):
                self._begun[play.command] = self._ahead.submit(self._ansible.run, play)
            for number, step in enumerate(steps, start=1):
                commands = [play.command for play in step.plays]
                stage = Stage(step.name, step.purpose, commands, began=time.time(), plain=step.plain)
                self.story.stages.append(stage)
                self._terminal.stage(number, stage)
                if step.plain:
                    going_on = self._plain.run(step, stage)
                    self.story.background_requests = self._plain.sent
                else:
                    self._plain.end()
                    going_on = self._stage(step, stage, *steps[number : number + 1])
                self._terminal.readings(stage)
                if not going_on:
                    return
        finally:
            self._ahead.shutdown()
            self._plain.end()
            for _flow, running in self._running:
                running.stop()

    def _stage(self, step: Step, stage: Stage, following: Step | None = None) -> bool:
        """Run one stage and judge it. False: the story cannot go on."""
        going_on = True
        try:
            going_on = self._play(step, stage)
            if going_on:
                stage.changed_at = time.time()
                self._running = self._running or self._start_flows(step)
                if step.rollout:
                    tell_rollout(step.rollout, stage)
                if step.watch_scaling:
                    self._scale(step, stage, step.watch_scaling)
                self._measure(step, stage)
                self._count_background(step, stage, following)
        except TrafficError as problem:
            stage.troubles.append(str(problem))
            going_on = False
        stage.ended = time.time()
        if going_on:
            stage.judge()
        return going_on

    def _play(self, step: Step, stage: Stage) -> bool:
        for play in step.plays:
            self._terminal.play(play)
            begun = self._begun.pop(play.command, None)
            played = begun.result() if begun else self._ansible.run(play)
            self._terminal.played(played, whole=step.show_all)
            if not played.ok:
                stage.troubles.append(f"{play.playbook} failed")
                return False
        return True

    def _measure(self, step: Step, stage: Stage) -> None:
        cohorts = [(EVERYBODY, step.everybody)]
        if step.cohort:
            cohorts.insert(0 if step.about_cohort else 1, (USER, step.cohort))
        for who, wanted in cohorts:
            sizes = ONE_VERSION if 100 in wanted.values() else SPLIT
            user = "" if who == EVERYBODY else who
            places = (self._gateway,) if step.watch_scaling else (self._sidecar, self._gateway)
            under_way = [(place, place.background(Load(requests=sizes[place.name], user=user))) for place in places]
            for place, running in under_way:
                stage.readings.append(Reading(place.name, who, wanted, running.result()))
                self._courses[who].timeline.extend(stage.readings[-1].seen.timeline)

    def _scale(self, step: Step, stage: Stage, version: str) -> None:
        """Put the versions under load until `version` has more ready pods than before, and measure meanwhile."""
        before, began, took = self._watch.ready(version), time.time(), None
        load = Load(seconds=SCALING_LIMIT + 10, rate=SCALING_RATE)
        with self._sidecar.background(load) as running:
            while took is None and time.time() < began + SCALING_LIMIT:
                time.sleep(0.5)
                if self._watch.ready(version) > before:
                    took = time.time() - began
            time.sleep(max(0.0, began + SCALING_REQUESTS / SCALING_RATE - time.time()))
        most = max((pods.get(version, 0) for at, pods in self._watch.replicas if at >= began), default=before)
        calm_by = time.time() + CALM_LIMIT
        while not self._watch.is_calm(version) and time.time() < calm_by:
            time.sleep(1)
        stage.readings.append(Reading("sidecar", EVERYBODY, step.everybody, running.result()))
        self._courses[EVERYBODY].timeline.extend(stage.readings[-1].seen.timeline)
        if took is not None:
            stage.notes.append(f"{version} had more pods after {took:.0f} s of load: {before} before, {most} then.")
        else:
            stage.troubles.append(f"{version} still has {before} ready pods after {SCALING_LIMIT:.0f} s of load")

    def _start_flows(self, step: Step) -> list[tuple[Flow, Running]]:
        """Where a version fails on purpose only the sidecar can tell whose error it is: a page hides it."""
        flows = [flow for flow in self._flows if step.rollout != "rolled_back" or flow.place is self._sidecar]
        return [(flow, flow.start()) for flow in flows]

    def _count_background(self, step: Step, stage: Stage, following: Step | None) -> None:
        """Close the stage's background load, with the next one's already running, and write down what it saw."""
        next_ones = self._start_flows(following) if following else []
        for flow, running in self._running:
            running.stop()
            seen = running.result()
            harmed = meant_to_fail(seen) if step.rollout == "rolled_back" else 0
            stage.harmed += harmed
            stage.lost += seen.failed - harmed
            stage.troubles += early_end(seen, flow.place.name)
            if not harmed:
                stage.notes += [
                    f"lost from the {flow.place.name}: {reason} ({n})" for reason, n in seen.reasons.items()
                ]
            self.story.background_requests += seen.requests
            self._courses[flow.who].timeline.extend(harm(seen.timeline) if harmed else seen.timeline)
        self._running = next_ones
        if stage.harmed:
            stage.notes.append(
                f"{stage.harmed} requests got an error from the bad version itself before it was taken back. They are "
                "not counted as failed; no other request may fail."
            )


def meant_to_fail(seen: Measurement) -> int:
    """Return how many requests the bad version itself has answered with an error."""
    return sum(number for reason, number in seen.reasons.items() if INJECTED in reason)


def harm(timeline: Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the timeline with its failures called harmed."""
    named = {"failed": "harmed"}
    return [{**one, "counts": {named.get(who, who): n for who, n in one["counts"].items()}} for one in timeline]


def tell_rollout(wanted: str, stage: Stage) -> None:
    """Write down how the last rollout ended and why, by its own report; another end than `wanted` is a trouble."""
    reports = sorted(ROLLOUTS.glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not reports:
        stage.troubles.append(f"the rollout left no report in {ROLLOUTS}")
        return
    told = json.loads(reports[-1].read_text(encoding="utf-8"))
    stage.notes.append(f"{told['stable']} -> {told['canary']}: {told['phase'].replace('_', ' ')}. {told['reason']}")
    stage.notes.append(f"Its own report: {reports[-1].with_suffix('.html').relative_to(ROLLOUTS.parents[1])}")
    if told["phase"] != wanted:
        stage.troubles.append(f"the rollout should have ended {wanted.replace('_', ' ')}")
