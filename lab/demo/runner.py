# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the stages: their playbooks, the background load, the share checks."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import time
import typing as t

from lab.traffic import Load, TrafficError

from .results import EVERYBODY, CohortHistory, DemoResult, ShareCheck, StageResult
from .stages import ROLLOUT_REPORTS, USER, StageSpec

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.traffic import Client, GatewayClient, Measurement, RunningLoad, SidecarClient

    from .plain_kubernetes import PlainKubernetesRunner
    from .playbooks import Ansible, PlaybookResult
    from .slowdown import SlowdownProbe
    from .terminal import Terminal
    from .watcher import ServiceWatcher

# Enough requests to detect a deviation of five points; where one version gets all, fewer prove the same.
SPLIT_REQUESTS = {"sidecar": 2500, "gateway": 400}
ONE_VERSION_REQUESTS = {"sidecar": 800, "gateway": 200}
# Longer than any stage takes: a background load that ends before its stage fails it.
STAGE_LIMIT = 900.0
# Three times the background load, and enough requests to test the shares.
SCALING_RATE, SCALING_REQUESTS, SCALING_LIMIT = 80.0, 1500, 90.0
# The autoscalers' metrics are half a minute old; a promotion would plan capacity for the load that has just ended.
SETTLE_LIMIT = 30.0
INJECTED = "injected fault"
"""The error text of the lab's image when it fails on purpose. Any other failure counts."""


@dataclasses.dataclass(frozen=True)
class BackgroundLoad:
    """A light load that runs through the whole demo, so that a request lost between two stages counts too."""

    place: Client
    cohort: str
    rate: float

    def start(self) -> RunningLoad:
        user = "" if self.cohort == EVERYBODY else self.cohort
        return self.place.background(
            Load(seconds=STAGE_LIMIT, limit=STAGE_LIMIT, rate=self.rate, connections=2, user=user)
        )


class StageRunner:
    """Runs the stages one after the other and fills `demo`."""

    def __init__(
        self,
        demo: DemoResult,
        ansible: Ansible,
        watcher: ServiceWatcher,
        plain_kubernetes: PlainKubernetesRunner,
        sidecar: SidecarClient,
        gateway: GatewayClient,
        terminal: Terminal,
        probe: SlowdownProbe,
    ) -> None:
        self.demo, self._plain_kubernetes = demo, plain_kubernetes
        self._ansible, self._watcher, self._terminal = ansible, watcher, terminal
        self._sidecar, self._gateway, self._probe = sidecar, gateway, probe
        self._loads = [
            BackgroundLoad(sidecar, EVERYBODY, 40),
            BackgroundLoad(gateway, EVERYBODY, 8),
            BackgroundLoad(sidecar, USER, 20),
        ]
        self._running: list[tuple[BackgroundLoad, RunningLoad]] = []
        self._executor = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._started: dict[str, concurrent.futures.Future[PlaybookResult]] = {}
        self._histories = {cohort: CohortHistory(cohort, watcher.weights[cohort]) for cohort in (EVERYBODY, USER)}
        demo.histories = list(self._histories.values())
        demo.replicas = watcher.replicas

    def run(self, specs: Sequence[StageSpec]) -> None:
        """Run all stages. A playbook that fails ends the demo, wrong shares do not."""
        try:
            for playbook in (playbook for spec in specs if spec.ahead for playbook in spec.playbooks):
                self._started[playbook.command] = self._executor.submit(self._ansible.run, playbook)
            for number, spec in enumerate(specs, start=1):
                commands = [playbook.command for playbook in spec.playbooks]
                stage = StageResult(
                    spec.name, spec.purpose, commands, began=time.time(), without_mesh=spec.without_mesh
                )
                self.demo.stages.append(stage)
                self._terminal.stage(number, stage)
                if spec.without_mesh:
                    can_continue = self._plain_kubernetes.run(spec, stage)
                    self.demo.background_requests = self._plain_kubernetes.sent
                else:
                    self._plain_kubernetes.delete_namespace()
                    can_continue = self._run(spec, stage, *specs[number : number + 1])
                stage.slowdown = self._probe.since(stage.began)
                self._terminal.stage_result(stage)
                if not can_continue:
                    return
        finally:
            self._executor.shutdown()
            self._plain_kubernetes.delete_namespace()
            for _load, running in self._running:
                running.stop()

    def _run(self, spec: StageSpec, stage: StageResult, following: StageSpec | None = None) -> bool:
        """Run one stage and judge it. False: the demo cannot continue."""
        can_continue = True
        try:
            can_continue = self._run_playbooks(spec, stage)
            if can_continue:
                stage.measured_from = time.time()
                self._running = self._running or self._start_background(spec)
                if spec.rollout:
                    add_rollout(spec.rollout, stage)
                if spec.scaled_version:
                    self._scale(spec, stage, spec.scaled_version)
                self._check_shares(spec, stage)
                self._add_background(spec, stage, following)
        except TrafficError as problem:
            stage.problems.append(str(problem))
            can_continue = False
        stage.ended = time.time()
        if can_continue:
            stage.judge()
        return can_continue

    def _run_playbooks(self, spec: StageSpec, stage: StageResult) -> bool:
        for playbook in spec.playbooks:
            self._terminal.playbook(playbook)
            started = self._started.pop(playbook.command, None)
            result = started.result() if started else self._ansible.run(playbook)
            self._terminal.playbook_result(result, show_all=spec.show_all)
            if not result.ok:
                stage.problems.append(f"{playbook.name} failed")
                return False
        return True

    def _check_shares(self, spec: StageSpec, stage: StageResult) -> None:
        cohorts = [(EVERYBODY, spec.everybody)]
        if spec.cohort:
            cohorts.insert(0 if spec.about_cohort else 1, (USER, spec.cohort))
        for cohort, wanted in cohorts:
            numbers = ONE_VERSION_REQUESTS if 100 in wanted.values() else SPLIT_REQUESTS
            user = "" if cohort == EVERYBODY else cohort
            places = (self._gateway,) if spec.scaled_version else (self._sidecar, self._gateway)
            loads = [(place, place.background(Load(requests=numbers[place.name], user=user))) for place in places]
            for place, load in loads:
                self._add_check(stage, ShareCheck(place.name, cohort, wanted, load.result()))

    def _add_check(self, stage: StageResult, check: ShareCheck) -> None:
        stage.checks.append(check)
        self._histories[check.cohort].timeline.extend(check.measured.timeline)

    def _scale(self, spec: StageSpec, stage: StageResult, version: str) -> None:
        """Send load until `version` has more ready pods than before, and check the shares of that load."""
        before, began, seconds = self._watcher.ready(version), time.time(), None
        load = Load(seconds=SCALING_LIMIT + 10, rate=SCALING_RATE)
        with self._sidecar.background(load) as running:
            while seconds is None and time.time() < began + SCALING_LIMIT:
                time.sleep(0.5)
                if self._watcher.ready(version) > before:
                    seconds = time.time() - began
            time.sleep(max(0.0, began + SCALING_REQUESTS / SCALING_RATE - time.time()))
        most = max((pods.get(version, 0) for at, pods in self._watcher.replicas if at >= began), default=before)
        settle_by = time.time() + SETTLE_LIMIT
        while not self._watcher.is_below_target(version) and time.time() < settle_by:
            time.sleep(1)
        self._add_check(stage, ShareCheck("sidecar", EVERYBODY, spec.everybody, running.result()))
        if seconds is not None:
            stage.notes.append(f"{version} had more pods after {seconds:.0f} s of load: {before} before, {most} after.")
        else:
            stage.problems.append(f"{version} still has {before} ready pods after {SCALING_LIMIT:.0f} s of load")

    def _start_background(self, spec: StageSpec) -> list[tuple[BackgroundLoad, RunningLoad]]:
        """Start the background loads, only the sidecar's where a version fails on purpose: a page hides its error."""
        loads = [load for load in self._loads if spec.rollout != "rolled_back" or load.place is self._sidecar]
        return [(load, load.start()) for load in loads]

    def _add_background(self, spec: StageSpec, stage: StageResult, following: StageSpec | None) -> None:
        """End the background load of this stage, after the start of the next one's, and add its numbers."""
        next_loads = self._start_background(following) if following else []
        for load, running in self._running:
            running.stop()
            measured = running.result()
            injected = injected_failures(measured) if spec.rollout == "rolled_back" else 0
            stage.injected_failures += injected
            stage.background_failed += measured.failed - injected
            stage.require_whole_load(measured, load.place.name)
            if not injected:
                stage.notes += [
                    f"failed in the background, from the {load.place.name}: {reason} ({n})"
                    for reason, n in measured.reasons.items()
                ]
            self.demo.background_requests += measured.requests
            self._histories[load.cohort].timeline.extend(
                mark_injected(measured.timeline) if injected else measured.timeline
            )
        self._running = next_loads
        if stage.injected_failures:
            stage.notes.append(
                f"{stage.injected_failures} requests failed because the bad version failed on purpose, until it was "
                "rolled back. They count apart; no other request may fail."
            )


def injected_failures(measured: Measurement) -> int:
    """Return how many requests the bad version failed on purpose."""
    return sum(number for reason, number in measured.reasons.items() if INJECTED in reason)


def mark_injected(timeline: Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the timeline with its failures counted as `injected`."""
    names = {"failed": "injected"}
    return [{**one, "counts": {names.get(key, key): n for key, n in one["counts"].items()}} for one in timeline]


def add_rollout(phase: str, stage: StageResult) -> None:
    """Add how the last rollout ended and why, from its own report, and a problem if it did not end in `phase`."""
    reports = sorted(ROLLOUT_REPORTS.glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not reports:
        stage.problems.append(f"the rollout wrote no report to {ROLLOUT_REPORTS}")
        return
    report = json.loads(reports[-1].read_text(encoding="utf-8"))
    stage.notes.append(
        f"{report['stable']} -> {report['canary']}: {report['phase'].replace('_', ' ')}. {report['reason']}"
    )
    stage.notes.append(f"Its report: {reports[-1].with_suffix('.html').relative_to(ROLLOUT_REPORTS.parents[1])}")
    if report["phase"] != phase:
        stage.problems.append(f"the rollout should have ended {phase.replace('_', ' ')}")
