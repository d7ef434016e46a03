# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a rollout while its task works: without a callback, with canary_line and with canary_steps."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.plugin_utils.live_line import CLEAR, LiveLine
from ansible_collections.meshops.canary.plugins.plugin_utils.rollout_display import RolloutDisplay
from support.rollout_results import ANALYSIS, ROLLOUT, WEIGHT, rollout

HEAD = "reviews v1 -> v2 | step 2/4 | [##------------------] 10%"
SHIFTED = "v1 90%, v2 10% | 6 of 6 proxies converged after 0.3 s"
OBSERVING = f"{HEAD} | observing | v1 90%, v2 10% | 600 s left"
FAILED = (
    "fail after 3 s | v2 11 of 21 failed (52.4%) | v1 0 of 187 failed (0%) | errors: 11 of 21 canary requests failed"
)
NEXT = rollout(at=2, desired_weights={"v1": 75.0, "v2": 25.0})
NEXT_HEAD = "reviews v1 -> v2 | step 3/4 | [#####---------------] 25%"
ENDED = rollout(phase="promoted", desired_weights={"v2": 100.0}, seconds_left=None, over=True)
PARTS = [
    ("canary_rollout", {"text": "the plan"}),
    ("canary_rollout", ROLLOUT),
    ("canary_weight", WEIGHT),
    ("canary_analysis", ANALYSIS),
]
LINES = ["the plan", OBSERVING, f"reviews | {SHIFTED}", f"reviews v2 | {FAILED}"]


class Output:
    """Where the display writes to. drawn: what was redrawn in one line. printed: lines that stay."""

    def __init__(self, *, columns: int = 0, one_per_step: bool = False) -> None:
        self.drawn: list[str] = []
        self.printed: list[str] = []
        self.line = LiveLine(self._draw, self._print, one_per_step=one_per_step)
        self.line.columns = columns

    def show(
        self, parts: list[tuple[str, dict[str, t.Any]]], *, callback: bool = True, cluster: str = ""
    ) -> RolloutDisplay:
        shown = RolloutDisplay(self.line if callback else None, self._print, cluster)
        for part in parts:
            shown.show(*part)
        return shown

    def _draw(self, text: str) -> None:
        if text != f"\r{CLEAR}":
            self.drawn.append(without_time(text.strip("\r").removesuffix(CLEAR)))

    def _print(self, text: str) -> None:
        self.printed.append(without_time(text))


def without_time(text: str) -> str:
    found = re.fullmatch(r"\d\d:\d\d:\d\d (.*)", text)
    assert found, text
    return found[1]


def test_without_a_callback_each_part_is_a_line() -> None:
    output = Output()
    output.show(PARTS, callback=False).finish()
    assert output.printed == LINES


@pytest.mark.parametrize(("callback", "one_per_step"), [(False, False), (True, False), (True, True)])
def test_each_line_names_the_cluster_where_there_are_several(callback: bool, one_per_step: bool) -> None:
    output = Output(one_per_step=one_per_step)
    output.show(PARTS, callback=callback, cluster="berlin").finish()
    assert output.printed
    assert all(line.startswith("berlin | ") for line in output.printed), output.printed


def test_canary_line_prints_the_same_on_a_terminal_and_without() -> None:
    for columns in (0, 80):
        output = Output(columns=columns)
        output.show(PARTS).finish()
        assert output.printed == LINES
        assert output.drawn == []
        assert output.line.prefix == HEAD, "so that counts show the step they belong to"


def test_canary_line_erases_the_counts_before_a_line() -> None:
    output = Output(columns=200)
    shown = output.show([("canary_rollout", ROLLOUT)])
    output.line.draw("v2: 0 of 98 failed")
    shown.show("canary_analysis", ANALYSIS)
    shown.finish()
    assert output.drawn == [f"{HEAD} | v2: 0 of 98 failed"]
    assert output.printed == [OBSERVING, f"reviews v2 | {FAILED}"], "counts do not stay"


def test_canary_steps_redraws_one_line_on_a_terminal() -> None:
    output = Output(columns=200, one_per_step=True)
    shown = output.show(PARTS)
    assert output.printed == ["the plan"]
    assert output.drawn == [OBSERVING, f"{HEAD} | {SHIFTED}", f"{HEAD} | {FAILED}"]
    shown.finish()
    assert output.printed == ["the plan", f"{HEAD} | {FAILED}"]


def test_canary_steps_keeps_the_line_of_each_step() -> None:
    output = Output(columns=200, one_per_step=True)
    output.show([("canary_rollout", ROLLOUT), ("canary_analysis", ANALYSIS), ("canary_rollout", NEXT)])
    assert output.printed == [f"{HEAD} | {FAILED}"]
    assert output.drawn[-1].startswith(f"{NEXT_HEAD} | observing")


def test_canary_steps_keeps_the_end() -> None:
    output = Output(columns=200, one_per_step=True)
    output.show([("canary_rollout", ROLLOUT), ("canary_rollout", ENDED)]).finish()
    assert output.printed == [
        OBSERVING,
        "reviews v1 -> v2 | step 2/4 | [####################] 100% | promoted | v2 100%",
    ]
    assert output.line.prefix == ""


def test_canary_steps_shows_a_sentence_below_the_line() -> None:
    output = Output(columns=200, one_per_step=True)
    output.show([("canary_rollout", ROLLOUT), ("canary_rollout", {"text": "To approve: kubectl"})])
    assert output.printed == [OBSERVING, "To approve: kubectl"]


def test_canary_steps_prints_each_part_without_a_terminal() -> None:
    output = Output(one_per_step=True)
    output.show(PARTS).finish()
    assert output.printed == LINES
    assert output.drawn == []


@pytest.mark.parametrize("columns", [0, 200])
def test_canary_steps_names_the_service_once_where_no_rollout_is_under_way(columns: int) -> None:
    output = Output(columns=columns, one_per_step=True)
    output.show([("canary_weight", WEIGHT)])
    assert output.drawn + output.printed == [f"reviews | {SHIFTED}"]


def test_a_part_without_news_is_not_shown() -> None:
    for callback in (True, False):
        output = Output(columns=200, one_per_step=True)
        output.show([("canary_rollout", {"run": None, "steps": []})], callback=callback).finish()
        assert (output.printed, output.drawn) == ([], [])
