# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures how much slower this machine works than with idle processors, while the demo runs.

A thread uses some milliseconds of processor time once a second and measures how long that takes. The other processes
of this machine are slowed down alike: Ansible, and the lab's cluster. A cluster elsewhere is not measured.
"""

from __future__ import annotations

import threading
import time

PERIOD = 1.0
PROCESSOR_SECONDS = 0.02  # several time slices of the scheduler: a thread that has slept gets its first one at once


class SlowdownProbe:
    """A thread that samples once a second; use it as a context manager."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SlowdownProbe:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, began: float) -> float | None:
        """Return elapsed by processor time of the samples since `began`: 1 on idle processors, None without samples."""
        samples = [sample for sample in self._samples if sample[0] >= began]
        processor = sum(processor for _at, _elapsed, processor in samples)
        return sum(elapsed for _at, elapsed, _processor in samples) / processor if processor else None

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            at, began, used = time.time(), time.monotonic(), time.thread_time()
            while (processor := time.thread_time() - used) < PROCESSOR_SECONDS:
                pass
            self._samples.append((at, time.monotonic() - began, processor))
