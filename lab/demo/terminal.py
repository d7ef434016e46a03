# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the demo prints while it runs: a few lines a stage."""

from __future__ import annotations

import os
import sys
import textwrap
import typing as t

from .words import duration, p_text, shares_text, weights_text

if t.TYPE_CHECKING:
    from .player import Play, Played
    from .result import Stage, Story

COLOURS = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}
INDENT = "        "


class Terminal:
    """Prints to stdout, in colour if that is a terminal and NO_COLOR is not set. stages: how many there will be."""

    def __init__(self, stages: int = 0, stream: t.TextIO = sys.stdout) -> None:
        self.stages, self._stream = stages, stream
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ

    def line(self, text: str = "", style: str = "") -> None:
        print(self._styled(text, style), file=self._stream, flush=True)

    def stage(self, number: int, stage: Stage) -> None:
        self.line()
        self.line(f"[{number:>2}/{self.stages}]  {stage.name}", "bold")
        self.line(f"{INDENT}{stage.purpose}")

    def play(self, play: Play) -> None:
        self.line(f"{INDENT}$ {play.command}", "dim")

    def played(self, played: Played, whole: bool = False) -> None:
        """Print what the playbook said: its messages, or all of it if it failed."""
        if not played.ok:
            self.line(textwrap.indent(played.output.strip(), INDENT), "bad")
            return
        for text in played.messages if whole else played.messages[:1]:
            self.line(f"{INDENT}{text}")
        self.line(f"{INDENT}{played.tasks} tasks, {played.changed} changed, {played.seconds:.1f} s", "dim")

    def readings(self, stage: Stage) -> None:
        for reading in stage.readings:
            who = f"{reading.who}, {reading.place}"
            wanted, shares = weights_text(reading.wanted), shares_text(reading.seen, reading.wanted)
            numbers = (
                f"{reading.seen.requests:>6,} requests, {reading.seen.failed} failed, p = {p_text(reading.p_value)}"
            )
            self.line(f"{INDENT}{who:<20} wanted {wanted:<12} got {shares:<17} {numbers}")
        for note in stage.notes:
            self.line(f"{INDENT}{note}")
        for trouble in stage.troubles:
            self.line(f"{INDENT}{trouble}", "bad")
        took = f"{stage.ended - stage.began:.0f} s"
        self.line(
            f"{INDENT}passed, {took}" if stage.passed else f"{INDENT}failed, {took}", "good" if stage.passed else "bad"
        )

    def summary(self, story: Story) -> None:
        """Print one line a stage and one for all."""
        self.line()
        self.line(f"  {'stage':<18} {'wanted':<14} {'measured':<22} {'requests':>8} {'failed':>7} {'p':>7}", "dim")
        for stage in story.stages:
            answered = sum(stage.counts.values())
            shares = (
                ", ".join(f"{v} {100 * n / answered:.1f}" for v, n in stage.counts.items()) if answered else "nothing"
            )
            numbers = f"{stage.requests:>8,} {stage.failed:>7} {p_text(stage.p_value):>7}"
            text = f"  {stage.name:<18} {weights_text(stage.wanted):<14} {shares:<22} {numbers}"
            self.line(text + ("" if stage.passed else "  FAILED"), "" if stage.passed else "bad")
        self.line()
        passed = sum(stage.passed for stage in story.stages)
        verdict = f"{passed} of {self.stages} stages passed, {story.requests:,} requests, {story.failed} failed"
        if story.harmed:
            verdict += f" beside {story.harmed} of the bad version's own"
        self.line(f"{verdict}, {duration(story.ended - story.began)}", "good" if story.passed else "bad")

    def _styled(self, text: str, style: str) -> str:
        return f"\033[{COLOURS[style]}m{text}\033[0m" if style and self._colour else text
