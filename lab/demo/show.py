# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells the story: runs each stage's playbooks, measures, judges."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from lab.traffic import Load, TrafficError

from .result import EVERYBODY, Course, Reading, Stage, Story
from .stages import USER, Step

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.traffic import Gateway, Place, Running, Sidecar

    from .plain import Plain
    from .player import Ansible
    from .terminal import Terminal
    from .watch import Watch

# Enough to notice five points of deviation with certainty; where all go to one version, fewer say the same.
SPLIT = {"sidecar": 2500, "gateway": 400}
ONE_VERSION = {"sidecar": 800, "gateway": 200}
STAGE_LIMIT = 240.0
# Three times the background, and enough requests to judge the shares by.
SCALING_RATE, SCALING_REQUESTS, SCALING_LIMIT = 80.0, 1500, 90.0
# What the autoscalers see is half a minute old; a promotion would count the load of before as still to be carried.
CALM_LIMIT = 60.0


@dataclasses.dataclass(frozen=True)
class Flow:
    """A light load that runs through the whole demo: a request lost between two stages counts as well."""

    place: Place
    who: str
    rate: float

    def start(self) -> Running:
        user = "" if self.who == EVERYBODY else self.who
        return self.place.background(
            Load(seconds=STAGE_LIMIT * 2, limit=STAGE_LIMIT * 2, rate=self.rate, connections=2, user=user)
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
        self._running: list[Running] = []
        self._courses = {who: Course(who, watch.weights[who]) for who in (EVERYBODY, USER)}
        story.courses = list(self._courses.values())
        story.replicas = watch.replicas

    def run(self, steps: Sequence[Step]) -> None:
        """Run all steps; a playbook that fails ends the story, shares that are wrong do not."""
        try:
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
                    going_on = self._stage(step, stage, last=number == len(steps))
                self._terminal.readings(stage)
                if not going_on:
                    return
        finally:
            self._plain.end()
            for running in self._running:
                running.stop()

    def _stage(self, step: Step, stage: Stage, *, last: bool) -> bool:
        """Run one stage and judge it. False: the story cannot go on."""
        going_on = True
        try:
            going_on = self._play(step, stage)
            if going_on:
                stage.changed_at = time.time()
                self._running = self._running or [flow.start() for flow in self._flows]
                if step.watch_scaling:
                    self._scale(step, stage, step.watch_scaling)
                self._measure(step, stage)
                self._count_background(stage, last=last)
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
            played = self._ansible.run(play)
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
        calm_by = time.time() + CALM_LIMIT
        while not self._watch.is_calm(version) and time.time() < calm_by:
            time.sleep(1)
        now = self._watch.ready(version)
        stage.readings.append(Reading("sidecar", EVERYBODY, step.everybody, running.result()))
        self._courses[EVERYBODY].timeline.extend(stage.readings[-1].seen.timeline)
        if took is not None:
            stage.notes.append(f"{version} had more pods after {took:.0f} s of load: {before} before, {now} now.")
        else:
            stage.troubles.append(f"{version} still has {before} ready pods after {SCALING_LIMIT:.0f} s of load")

    def _count_background(self, stage: Stage, *, last: bool) -> None:
        """Close the stage's background load, with the next one's already running, and write down what it saw."""
        following = [] if last else [flow.start() for flow in self._flows]
        for flow, running in zip(self._flows, self._running, strict=True):
            running.stop()
            seen = running.result()
            stage.lost += seen.failed
            stage.notes += [f"lost from the {flow.place.name}: {reason} ({n})" for reason, n in seen.reasons.items()]
            self.story.background_requests += seen.requests
            self._courses[flow.who].timeline.extend(seen.timeline)
        self._running = following
