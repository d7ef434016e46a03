# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An analysis on a clock of its own, of a source that says what the test wrote."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sources import Increment
from ansible_collections.meshops.canary.plugins.module_utils.commands import asked, numbers
from ansible_collections.meshops.canary.plugins.module_utils.commands.watch import Watch
from ansible_collections.meshops.canary.plugins.module_utils.errors import MetricsError

NOW = 1_800_000_000.0
ERRORS = {"name": "errors", "kind": "errors", "critical": True}
Script = t.Callable[[float], Increment]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Scripted:
    """A source that says what the test wrote. asked: the moments of the past that were asked for, None for now."""

    name, interval, callers, under_way = "prometheus", 1.0, 1, False

    def __init__(self, clock: Clock, script: Script) -> None:
        self.notes: list[str] = []
        self.asked: list[float | None] = []
        self._clock, self._script = clock, script
        self.broken_at_first = False

    def begin(self, at: float | None) -> None:
        self.began = at
        if self.broken_at_first:
            raise MetricsError("Prometheus at http://p answered query with 503.", reason="unreachable", status=503)

    def look(self, at: float | None) -> Increment:
        self.asked.append(at)
        return self._script((self._clock.now if at is None else at) - NOW)

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        if query == "wrong":
            raise MetricsError("Prometheus at http://p answered query with 400.", reason="query", status=400)
        if query == "late" and self._clock.now > NOW:
            raise MetricsError("Prometheus at http://p answered query with 503.", reason="unreachable", status=503)
        return 1.0 if version == "v2" else 2.0


def metric(**options: t.Any) -> dict[str, t.Any]:
    given = {name: spec.get("default") for name, spec in asked.OPTIONS.items()}
    return {**given, **ERRORS, **options}


def watch(
    script: Script,
    *,
    metrics: list[dict[str, t.Any]] | None = None,
    log: t.Callable[[str], None] = lambda _said: None,
    says: t.Callable[[float], str | None] | None = None,
    **options: t.Any,
) -> tuple[Watch, Scripted]:
    """Watch what the script says. says: what a person has answered at a second, where one is asked."""
    clock = Clock()
    source = Scripted(clock, script)
    metrics = metrics or [metric()]
    params = {"canary": "v2", "stable": "v1", "watch": 10.0, "deadline": 20.0, "warm_up": 0.0, "interval": None}
    params |= {"window": 0.0, "at": None, **options}
    observation = asked.observation(asked.questions(metrics), "v2", "v1", {})
    askers = numbers.askers(metrics, source, "v2", "v1")
    approval: t.Any = says and (lambda: says(clock.now - NOW))
    made = Watch(source, observation, askers, params, log, approval=approval, clock=clock, sleep=clock.sleep)
    made.until_decided()
    return made, source


def good(_second: float) -> Increment:
    return Increment({"v2": Tally(20, 0), "v1": Tally(180, 0)})


def bad(_second: float) -> Increment:
    return Increment({"v2": Tally(20, 10), "v1": Tally(180, 0)})


def silent(_second: float) -> Increment:
    return Increment({"v1": Tally(200, 0)})


def down(_second: float) -> Increment:
    raise MetricsError("Prometheus at http://p answered query with no answer.", reason="unreachable", status=None)
