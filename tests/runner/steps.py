# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps: commands with a time limit, a log and the results of their tests."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .results import Line, Result, read_junit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LOG_TAIL = 60  # lines of a failed step's log that are shown; the whole log stays in out/logs


@dataclasses.dataclass(frozen=True)
class Step:
    """Commands that run one after another until one fails.

    seconds: time limit; a step that reaches it has failed. junit: pytest's report, which has the results of the tests;
    read: reads them from the output instead. With neither the step itself is the one test.
    retry: makes the step that repeats the failed tests, from this step and their names. For tests whose loads and pods
    share a machine with others.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    folder: Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 600
    junit: Path | None = None
    read: Callable[[list[Line]], list[Result]] | None = None
    retry: Callable[[Step, list[str]], Step] | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The tests of a step. passed_on_retry: the names of those that failed in the first try."""

    name: str
    tests: tuple[Result, ...]
    seconds: float
    passed_on_retry: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        return sum(test.passed for test in self.tests)

    @property
    def failed(self) -> int:
        return len(self.tests) - self.passed

    @property
    def ok(self) -> bool:
        return self.failed == 0

    def as_dict(self) -> dict[str, t.Any]:
        counts = {"ok": self.ok, "passed": self.passed, "failed": self.failed, "seconds": round(self.seconds, 1)}
        return {"name": self.name, **counts, "passed_on_retry": list(self.passed_on_retry)}


class Runner:
    """Runs steps, prints one line for each, keeps their logs under `logs`.

    patience: factor for the time limits of all steps.
    """

    def __init__(self, logs: Path, patience: float = 1) -> None:
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self._patience = patience
        self._running: set[subprocess.Popen[str]] = set()

    def run_parallel(self, steps: Iterable[Step]) -> list[Outcome]:
        """Run the steps, as many at a time as there are cores. Pass the longest first."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
            return list(pool.map(self.run, steps))

    def run(self, step: Step, *, show: bool = False) -> Outcome:
        """Run one step, and its failed tests once more. show: also print the output while the step runs."""
        first = self._run(step, show)
        passed = tuple(test for test in first.tests if test.passed)
        failed = [test.name for test in first.tests if not test.passed and test.name != step.name]
        if not (step.retry and passed and failed):
            return first
        second = self._run(step.retry(step, failed), show)
        names = tuple(test.name for test in second.tests if test.passed)
        return Outcome(step.name, passed + second.tests, first.seconds + second.seconds, names)

    def stop(self) -> None:
        """Stop all steps that still run."""
        for process in list(self._running):
            _stop(process)

    def _run(self, step: Step, show: bool) -> Outcome:
        started = time.monotonic()
        log = self.logs / f"{step.name}.log"
        if step.junit:
            step.junit.unlink(missing_ok=True)
        lines: list[Line] = []
        with log.open("w", encoding="utf-8") as sink:
            code = 0
            for command in step.commands:
                if code == 0:
                    code = self._execute(command, step, sink, lines, started, show)
        seconds = time.monotonic() - started
        outcome = Outcome(step.name, _tests(step, lines, code, seconds), seconds)
        self._print(outcome, log, show)
        return outcome

    def _execute(
        self, command: tuple[str, ...], step: Step, sink: t.TextIO, lines: list[Line], started: float, show: bool
    ) -> int:
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
        self._running.add(process)
        limit = step.seconds * self._patience
        with ThreadPoolExecutor(max_workers=1) as reader:
            reading = reader.submit(_copy, t.cast(t.TextIO, process.stdout), sink, lines, started, show)
            try:
                code = process.wait(timeout=max(1.0, started + limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                _stop(process)
                sink.write(f"\nStopped: {step.name} reached its time limit of {limit:.0f} s.\n")
                code = 124
            reading.result(timeout=30)
        self._running.discard(process)
        return code

    def _print(self, outcome: Outcome, log: Path, shown: bool) -> None:
        mark = "ok    " if outcome.ok else "FAILED"
        count = f"{outcome.passed} passed" + (f", {outcome.failed} failed" if outcome.failed else "")
        text = f"{mark} {outcome.name:<18} {outcome.seconds:6.1f} s   {count}\n"
        if not outcome.ok:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = [] if shown else [f"    {line}" for line in lines[-LOG_TAIL:]]
            text += "\n".join([*tail, f"    (whole log: {log})", ""])
        sys.stdout.write(text)
        sys.stdout.flush()


def _tests(step: Step, lines: list[Line], code: int, seconds: float) -> tuple[Result, ...]:
    """Return the results of a step that ended with exit status `code`."""
    if step.junit:
        tests = read_junit(step.junit)
    elif step.read:
        tests = step.read(lines)
    else:
        return (Result(step.name, code == 0, seconds),)
    if all(test.passed for test in tests) and (code or not tests):
        tests.append(Result(step.name, False, seconds))  # a command failed outside of a test, or no test ran
    return tuple(tests)


def _copy(source: t.TextIO, sink: t.TextIO, lines: list[Line], started: float, show: bool) -> None:
    for line in source:
        sink.write(line)
        lines.append((time.monotonic() - started, line.rstrip("\n")))
        if show:
            sys.stdout.write(f"    {line}")
            sys.stdout.flush()


def _stop(process: subprocess.Popen[str]) -> None:
    """Stop a step and its child processes: it leads its own process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
