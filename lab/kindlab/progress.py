# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say what is being done, how long it takes, and which log tells more when it fails."""

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
STILL_EVERY = 60.0  # seconds of silence after which a step says that it goes on
_STARTED = time.monotonic()
_screen = threading.Lock()


def say(text: str) -> None:
    """One line for the user, on stderr: stdout belongs to results. Steps run side by side, lines stay whole."""
    with _screen:
        print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", file=sys.stderr, flush=True)


class Step:
    """One thing that takes time, with a log of its own."""

    def __init__(self, title: str, log: pathlib.Path) -> None:
        self.title = title
        self.log = log

    def note(self, text: str) -> None:
        """A line for the log alone."""
        with self.log.open("a") as log:
            log.write(text.rstrip("\n") + "\n")

    def run(
        self,
        argv: Sequence[t.Any],
        *,
        input: bytes | str | None = None,  # noqa: A002 - subprocess.run's word
        env: Mapping[str, str] | None = None,
        cwd: pathlib.Path | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> str:
        """Run a program with its stderr in the step's log; return its stdout (also logged).

        env is added to this process' environment. Raises LabError when the program is missing, fails or takes longer
        than `timeout` seconds.
        """
        words = [str(word) for word in argv]
        self.note("+ " + " ".join(words))
        data = input.encode() if isinstance(input, str) else input
        with self.log.open("ab") as log:
            try:
                done: subprocess.CompletedProcess[bytes] = subprocess.run(
                    words,
                    input=b"" if data is None else data,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    timeout=timeout,
                    check=False,
                )
            except FileNotFoundError as missing:
                raise LabError(f"{words[0]} is not there to be run: {missing}") from None
            except subprocess.TimeoutExpired:
                raise LabError(f"{words[0]} was still running after {timeout:g} s") from None
            log.write(done.stdout)
        if check and done.returncode != 0:
            raise LabError(f"{pathlib.Path(words[0]).name} ended with status {done.returncode}")
        return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def step(title: str, logs: pathlib.Path, way_out: str = "") -> Iterator[Step]:
    """Announce `title`, time it, and on failure show its log's end and what to do.

    logs: the folder that gets the step's log file, named by the title.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".log")
    log.write_text("")
    current = Step(title, log)
    say(f"{title} ...")
    began = time.monotonic()
    try:
        with _signs_of_life(title, log):
            yield current
    except LabError as error:
        if error.told:
            raise
        raise failure(current, error, way_out) from None
    say(f"{title}: done in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _signs_of_life(title: str, log: pathlib.Path) -> Iterator[None]:
    """Say now and then that the step still runs, and where one can look on."""
    over = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        while not over.wait(STILL_EVERY):
            say(f"{title}: still running after {time.monotonic() - began:.0f} s (log: {log})")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def failure(current: Step, error: LabError, way_out: str) -> LabError:
    """The error a failed step ends with: which step, its log's last lines, what to do."""
    tail = current.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    lines = [f'The step "{current.title}" failed: {error.message}']
    if tail:
        lines += [f"The end of its log ({current.log}):", *("  | " + line for line in tail)]
    return LabError("\n".join(lines), error.way_out or way_out, told=True)
