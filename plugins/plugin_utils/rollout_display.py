# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the parts of a rollout while its task works, in the style of the callback that is enabled.

The callback canary_steps draws one line a step, canary_line a line for each part; without them each part is a plain
line. A part is named like the module that would return its result.
"""

from __future__ import annotations

import typing as t

from ..module_utils.rollout import result_line
from .live_line import with_time

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .live_line import LiveLine

STEP_PHASES: t.Final = frozenset({"preparing", "shifting", "observing", "gated"})


class RolloutDisplay:
    """Shows parts on `line`, None without a callback. print_line: prints a line of Ansible's output.

    cluster: named at the beginning of each line; empty where there is only one.
    """

    def __init__(self, line: LiveLine | None, print_line: Callable[[str], None], cluster: str = "") -> None:
        self._line, self._print_line = line, print_line
        self._cluster = f"{cluster} | " if cluster else ""
        self._step: tuple[t.Any, ...] = ()

    def show(self, module: str, result: Mapping[str, t.Any]) -> None:
        """Show one part, or a sentence ({text})."""
        if "text" in result:
            if self._line is not None:
                self._line.finish() if self._line.one_per_step else self._line.clear()
            self._print_line(with_time(f"{self._cluster}{result['text']}"))
            return
        subject, text = result_line.parts(module, result)
        if not subject:
            return
        subject = self._cluster + subject
        if self._line is None or not self._line.one_per_step:
            if self._line is not None:
                self._line.clear()
            self._print_line(with_time(self._cluster + result_line.line(module, result)))
            if self._line is not None and result.get("run"):
                self._line.prefix = subject
            return
        self._draw(self._line, subject, text, result)

    def finish(self) -> None:
        """End the line of the last step."""
        if self._line is not None and self._step:
            self._line.finish()

    def _draw(self, line: LiveLine, subject: str, text: str, result: Mapping[str, t.Any]) -> None:
        """Draw the line of the step; the line of the step before stays above it."""
        run = result.get("run")
        if run:
            step = (run["id"], run["at"]) if run["phase"] in STEP_PHASES else (run["id"], run["phase"])
            if step != self._step:
                line.finish()
            self._step, line.prefix = step, subject
        elif not line.prefix and line.columns:
            text = f"{subject} | {text}"
        line.draw(text if line.columns else " | ".join(part for part in (subject, text) if part))
        if run and run["over"]:
            line.finish()
            line.prefix = ""
