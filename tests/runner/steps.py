# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One thing to run, and what came of it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LOG_TAIL = 60  # lines of a failed step's log that are shown; the whole log stays in out/logs


@dataclasses.dataclass(frozen=True)
class Step:
    """Commands that run one after another until one fails.

    seconds: after which the step is ended and counts as failed. junit: pytest's report, which says how many tests ran;
    counter: the same from the log; with neither the step itself is the one thing that passes or fails.
    again: makes the step that runs what failed once more, from this step and its log; None if that makes no sense. For
    tests whose loads and pods share a machine with others: what passes then counts, and is told as what it is.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    folder: Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 600
    junit: Path | None = None
    counter: Callable[[str], tuple[int, int]] | None = None
    again: Callable[[Step, str], Step | None] | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """passed and failed are numbers of tests; `ok` is false also when none ran. second: how many passed only then."""

    name: str
    ok: bool
    passed: int
    failed: int
    seconds: float
    second: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "seconds": round(self.seconds, 1)}


class Runner:
    """Runs steps, shows one line for each, keeps their logs under `logs`."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self.running: set[subprocess.Popen[str]] = set()

    def side_by_side(self, steps: Iterable[Step]) -> list[Outcome]:
        """Run the steps, as many at a time as there are cores; give the longest first."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
            return list(pool.map(self.run, steps))

    def run(self, step: Step, *, show: bool = False) -> Outcome:
        """Run one step, and once more what failed in it. show: also print its output while it runs."""
        outcome = self._run(step, show)
        if outcome.ok or step.again is None:
            return outcome
        log = (self.logs / f"{step.name}.log").read_text(encoding="utf-8", errors="replace")
        repeated = step.again(step, log)
        if repeated is None:
            return outcome
        then = self._run(repeated, show)
        return Outcome(
            step.name,
            then.ok and outcome.passed > 0,
            outcome.passed + then.passed,
            then.failed,
            outcome.seconds + then.seconds,
            second=then.passed,
        )

    def _run(self, step: Step, show: bool) -> Outcome:
        began = time.monotonic()
        log = self.logs / f"{step.name}.log"
        if step.junit:
            step.junit.unlink(missing_ok=True)
        with log.open("w", encoding="utf-8") as sink:
            code = 0
            for command in step.commands:
                if code == 0:
                    code = self._execute(command, step, sink, began + step.seconds, show)
        passed, failed = _count(step, log, code)
        outcome = Outcome(step.name, code == 0 and failed == 0 and passed > 0, passed, failed, time.monotonic() - began)
        self._tell(outcome, log, show)
        return outcome

    def stop(self) -> None:
        """End everything that still runs."""
        for process in list(self.running):
            _end(process)

    def _execute(self, command: tuple[str, ...], step: Step, sink: t.TextIO, deadline: float, show: bool) -> int:
        sink.write(f"$ {' '.join(command)}\n")
        sink.flush()
        process = subprocess.Popen(
            command,
            cwd=step.folder,
            env={**os.environ, **step.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.running.add(process)
        with ThreadPoolExecutor(max_workers=1) as reader:
            reading = reader.submit(_copy, t.cast(t.TextIO, process.stdout), sink, show)
            try:
                code = process.wait(timeout=max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _end(process)
                sink.write(f"\nEnded: {step.name} ran longer than {step.seconds:.0f} s.\n")
                code = 124
            reading.result(timeout=30)
        self.running.discard(process)
        return code

    def _tell(self, outcome: Outcome, log: Path, shown: bool) -> None:
        mark = "ok    " if outcome.ok else "FAILED"
        count = f"{outcome.passed} passed" + (f", {outcome.failed} failed" if outcome.failed else "")
        text = f"{mark} {outcome.name:<18} {outcome.seconds:6.1f} s   {count}\n"
        if not outcome.ok:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = [] if shown else [f"    {line}" for line in lines[-LOG_TAIL:]]
            text += "\n".join([*tail, f"    (all of it: {log})", ""])
        sys.stdout.write(text)
        sys.stdout.flush()


def _copy(source: t.TextIO, sink: t.TextIO, show: bool) -> None:
    for line in source:
        sink.write(line)
        if show:
            sys.stdout.write(f"    {line}")
            sys.stdout.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """End a step and whatever it started: it leads a process group of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _count(step: Step, log: Path, code: int) -> tuple[int, int]:
    """Return (passed, failed). A step that failed without a failed test counts as one failure."""
    if step.junit:
        passed, failed = _count_junit(step.junit)
    elif step.counter:
        passed, failed = step.counter(log.read_text(encoding="utf-8", errors="replace"))
    else:
        passed, failed = (1, 0) if code == 0 else (0, 1)
    return passed, max(failed, 1 if code else 0)


def _count_junit(report: Path) -> tuple[int, int]:
    if not report.exists():
        return 0, 0
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    totals = [tuple(int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")) for suite in suites]
    failed = sum(failures + errors for _tests, failures, errors, _skipped in totals)
    # A skipped test proved nothing, so it is not among those that passed.
    return sum(tests - skipped for tests, _failures, _errors, skipped in totals) - failed, failed
