# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints the progress of the demo, a few lines for each stage, and its summary."""

from __future__ import annotations

import os
import sys
import textwrap
import typing as t

from .formatting import duration, p_text, shares_text, weights_text

if t.TYPE_CHECKING:
    from .playbooks import Playbook, PlaybookResult
    from .results import DemoResult, StageResult

COLORS = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}
INDENT = "        "


class Terminal:
    """Prints to stdout, in color if that is a terminal and NO_COLOR is not set. stages: their number."""

    def __init__(self, stages: int = 0, stream: t.TextIO = sys.stdout) -> None:
        self.stages, self._stream = stages, stream
        self._has_color = stream.isatty() and "NO_COLOR" not in os.environ

    def line(self, text: str = "", style: str = "") -> None:
        print(self._styled(text, style), file=self._stream, flush=True)

    def stage(self, number: int, stage: StageResult) -> None:
        self.line()
        self.line(f"[{number:>2}/{self.stages}]  {stage.name}", "bold")
        self.line(f"{INDENT}{stage.purpose}")

    def playbook(self, playbook: Playbook) -> None:
        self.line(f"{INDENT}$ {playbook.command}", "dim")

    def playbook_result(self, result: PlaybookResult, *, show_all: bool = False) -> None:
        """Print the first message of the playbook or all of them, and all its output if it failed."""
        if not result.ok:
            self.line(textwrap.indent(result.output.strip(), INDENT), "bad")
            return
        for text in result.messages if show_all else result.messages[:1]:
            self.line(f"{INDENT}{text}")
        self.line(f"{INDENT}{result.tasks} tasks, {result.changed} changed, {result.seconds:.1f} s", "dim")

    def stage_result(self, stage: StageResult) -> None:
        for check in stage.checks:
            source = f"{check.cohort}, {check.place}"
            wanted, shares = weights_text(check.wanted), shares_text(check.measured, check.wanted)
            numbers = (
                f"{check.measured.requests:>6,} requests, {check.measured.failed} failed, p = {p_text(check.p_value)}"
            )
            self.line(f"{INDENT}{source:<20} wanted {wanted:<12} measured {shares:<17} {numbers}")
        for note in stage.notes:
            self.line(f"{INDENT}{note}")
        for problem in stage.problems:
            self.line(f"{INDENT}{problem}", "bad")
        seconds = f"{stage.ended - stage.began:.0f} s"
        self.line(
            f"{INDENT}{'passed' if stage.passed else 'failed'}, {seconds}{_busy_text(stage)}",
            "good" if stage.passed else "bad",
        )

    def summary(self, demo: DemoResult) -> None:
        """Print one line for each stage, the verdict, and whether the machine was too busy."""
        self.line()
        self.line(f"  {'stage':<18} {'wanted':<20} {'measured':<24} {'requests':>8} {'failed':>7} {'p':>7}", "dim")
        for stage in demo.stages:
            answered = sum(stage.counts.values())
            shares = (
                ", ".join(f"{v} {100 * n / answered:.1f}" for v, n in stage.counts.items()) if answered else "nothing"
            )
            numbers = f"{stage.requests:>8,} {stage.failed:>7} {p_text(stage.p_value):>7}"
            text = f"  {stage.name:<18} {weights_text(stage.wanted):<20} {shares:<24} {numbers}"
            self.line(text + ("" if stage.passed else "  FAILED"), "" if stage.passed else "bad")
        self.line()
        passed = sum(stage.passed for stage in demo.stages)
        verdict = f"{passed} of {self.stages} stages passed, {demo.requests:,} requests, {demo.failed} failed"
        if demo.injected_failures:
            verdict += f" and {demo.injected_failures} that the bad version failed on purpose"
        self.line(f"{verdict}, {duration(demo.ended - demo.began)}", "good" if demo.passed else "bad")
        self.line(demo.slowdown_text, "bad" if any(stage.busy for stage in demo.stages) else "dim")

    def _styled(self, text: str, style: str) -> str:
        return f"\033[{COLORS[style]}m{text}\033[0m" if style and self._has_color else text


def _busy_text(stage: StageResult) -> str:
    return f" (the machine was too busy: {stage.slowdown:.1f} times slower)" if stage.busy else ""
