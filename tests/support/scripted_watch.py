# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An analysis with a clock of its own and a source that returns what the test set."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.errors import MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis_options, custom_metrics
from ansible_collections.meshops.canary.plugins.module_utils.evidence.analysis_run import AnalysisRun
from ansible_collections.meshops.canary.plugins.module_utils.evidence.notes import Notes
from ansible_collections.meshops.canary.plugins.module_utils.task.context import NO_TERMINAL, Terminal

NOW = 1_800_000_000.0
ERRORS = {"name": "errors", "kind": "errors", "critical": True}
Script = t.Callable[[float], Increment]


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Scripted:
    """A source that returns what the test set. times: those that were measured, None for now."""

    name, interval, callers, reads_in_flight = "prometheus", 1.0, 1, False

    def __init__(self, clock: Clock, script: Script) -> None:
        self.notes = Notes()
        self.times: list[float | None] = []
        self._clock, self._script = clock, script
        self.broken_at_first = False

    def begin(self, at: float | None) -> None:
        self.began = at
        if self.broken_at_first:
            raise MetricsError("Prometheus at http://p answered query with 503.", reason="unreachable", status=503)

    def measure(self, at: float | None) -> Increment:
        self.times.append(at)
        return self._script((self._clock.now if at is None else at) - NOW)

    def query_value(self, query: str, version: str, at: float | None) -> float | None:
        if query == "wrong":
            raise MetricsError("Prometheus at http://p answered query with 400.", reason="query", status=400)
        if query == "late" and self._clock.now > NOW:
            raise MetricsError("Prometheus at http://p answered query with 503.", reason="unreachable", status=503)
        return 1.0 if version == "v2" else 2.0


def metric(**options: t.Any) -> dict[str, t.Any]:
    given = {name: spec.get("default") for name, spec in analysis_options.METRIC_OPTIONS.items()}
    return {**given, **ERRORS, **options}


def watch(
    script: Script,
    *,
    metrics: list[dict[str, t.Any]] | None = None,
    log: t.Callable[[str], None] = lambda _said: None,
    says: t.Callable[[float], str | None] | None = None,
    terminal: Terminal = NO_TERMINAL,
    needed: int = 0,
    **options: t.Any,
) -> tuple[AnalysisRun, Scripted]:
    """Run an analysis of the script. says: the answer to the manual gate at a second."""
    clock = Clock()
    source = Scripted(clock, script)
    metrics = metrics or [metric()]
    params = {"canary": "v2", "stable": "v1", "watch": 10.0, "deadline": 20.0, "warm_up": 0.0, "interval": None}
    params |= {"window": 0.0, "at": None, **options}
    observation = analysis_options.observation(analysis_options.metric_specs(metrics), "v2", "v1", {})
    value_queries = custom_metrics.value_queries(metrics, source, "v2", "v1")
    approval: t.Any = says and (lambda: says(clock.now - NOW))
    made = AnalysisRun(
        source,
        observation,
        value_queries,
        params,
        log,
        approval=approval,
        terminal=terminal,
        needed=needed,
        clock=clock,
        sleep=clock.sleep,
    )
    made.run()
    return made, source


def good(_second: float) -> Increment:
    return Increment({"v2": RequestCount(20, 0), "v1": RequestCount(180, 0)})


def bad(_second: float) -> Increment:
    return Increment({"v2": RequestCount(20, 10), "v1": RequestCount(180, 0)})


def silent(_second: float) -> Increment:
    return Increment({"v1": RequestCount(200, 0)})


def down(_second: float) -> Increment:
    raise MetricsError("Prometheus at http://p answered query with no answer.", reason="unreachable", status=None)
