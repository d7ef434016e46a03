# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Report the steps of a command: start, duration, and on failure the end of the step's log."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import typing as t

from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TAIL_LINES = 25
REPORT_INTERVAL = 60.0  # seconds between two reports of a step that is still running
_STARTED = time.monotonic()
_output_lock = threading.Lock()


def report(text: str) -> None:
    """Print one line for the user on stderr, because stdout is for results; lines of parallel steps do not mix."""
    with _output_lock:
        print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", file=sys.stderr, flush=True)


class Step:
    """One step of a command, with its own log file."""

    def __init__(self, title: str, log: pathlib.Path) -> None:
        self.title = title
        self.log = log

    def note(self, text: str) -> None:
        """Write text to the log only."""
        with self.log.open("a") as log:
            log.write(text.rstrip("\n") + "\n")

    def run(
        self,
        argv: Sequence[t.Any],
        *,
        input: bytes | str | None = None,  # noqa: A002 - as in subprocess.run
        env: Mapping[str, str] | None = None,
        cwd: pathlib.Path | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> str:
        """Run a program and return its stdout; its output goes to the log of the step too.

        env: variables added to the environment of this process. Raises LabError if the program is missing, fails or
        takes longer than `timeout` seconds.
        """
        command = [str(argument) for argument in argv]
        self.note("+ " + " ".join(command))
        data = input.encode() if isinstance(input, str) else input
        with self.log.open("ab") as log:
            try:
                completed: subprocess.CompletedProcess[bytes] = subprocess.run(
                    command,
                    input=b"" if data is None else data,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    timeout=timeout,
                    check=False,
                )
            except FileNotFoundError as missing:
                raise LabError(f"The program {command[0]} was not found: {missing}") from None
            except subprocess.TimeoutExpired:
                raise LabError(f"{command[0]} was still running after {timeout:g} s") from None
            log.write(completed.stdout)
        if check and completed.returncode != 0:
            raise LabError(f"{pathlib.Path(command[0]).name} exited with status {completed.returncode}")
        return completed.stdout.decode(errors="replace")


@contextlib.contextmanager
def step(title: str, logs: pathlib.Path, remedy: str = "") -> Iterator[Step]:
    """Report the start and the duration of a step; on failure raise LabError with the end of its log.

    logs: the directory for the log file, which is named by the title. remedy: what the user can do after a failure.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".log")
    log.write_text("")
    current = Step(title, log)
    report(f"{title} ...")
    began = time.monotonic()
    try:
        with _periodic_reports(title, log):
            yield current
    except LabError as error:
        if error.has_log:
            raise
        raise _with_log(current, error, remedy) from None
    report(f"{title}: done in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _periodic_reports(title: str, log: pathlib.Path) -> Iterator[None]:
    """Report at intervals that the step is still running, and where its log is."""
    ended = threading.Event()
    began = time.monotonic()

    def report_until_ended() -> None:
        while not ended.wait(REPORT_INTERVAL):
            report(f"{title}: still running after {time.monotonic() - began:.0f} s (log: {log})")

    reporter = threading.Thread(target=report_until_ended, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def _with_log(current: Step, error: LabError, remedy: str) -> LabError:
    """Return the error of a failed step: its title, the last lines of its log, what to do."""
    tail = current.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    lines = [f'The step "{current.title}" failed: {error.message}']
    if tail:
        lines += [f"The end of its log ({current.log}):", *("  | " + line for line in tail)]
    return LabError("\n".join(lines), error.remedy or remedy, has_log=True)
