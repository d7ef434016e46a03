# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fails beside other work runs once more, alone; what passes only then is counted and told as that."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing as t

from runner import checks
from runner.steps import Outcome, Runner, Step

if t.TYPE_CHECKING:
    from pathlib import Path

SOUND = "def test_sound():\n    pass\n"
FLAKY = """
import pathlib
def test_flaky():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""
RECAP = """
SCENARIO RECAP
default                   : actions=1  successful=1  disabled=0  skipped=0  missing=0  failed=0
routing                   : actions=4  successful=3  disabled=0  skipped=0  missing=0  failed=1
versions                  : actions=4  successful=4  disabled=0  skipped=0  missing=0  failed=0
"""


def told(log: str) -> tuple[int, int]:
    found = re.findall(r"^(\d+) passed, (\d+) failed$", log, re.MULTILINE)
    return int(found[-1][0]), int(found[-1][1])


def run(folder: Path, *tries: tuple[int, int]) -> Outcome:
    """Run a step whose first and second try pass and fail so many tests."""

    def step(passed: int, failed: int) -> Step:
        text = f"print('{passed} passed, {failed} failed'); raise SystemExit({min(failed, 1)})"
        return Step("lab", ((sys.executable, "-c", text),), folder, counter=told)

    then = dataclasses.replace(step(*tries[1]), name="lab-again") if len(tries) > 1 else None
    return Runner(folder / "logs").run(dataclasses.replace(step(*tries[0]), again=lambda _step, _log: then))


def test_what_passes_at_the_second_try_counts_and_is_told(tmp_path: Path) -> None:
    outcome = run(tmp_path, (5, 2), (2, 0))
    assert (outcome.ok, outcome.passed, outcome.failed, outcome.second) == (True, 7, 0, 2)


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    outcome = run(tmp_path, (5, 2), (1, 1))
    assert (outcome.ok, outcome.passed, outcome.failed, outcome.second) == (False, 6, 1, 1)


def test_what_passes_has_one_run(tmp_path: Path) -> None:
    outcome = run(tmp_path, (5, 0), (1, 0))
    assert (outcome.ok, outcome.passed, outcome.second) == (True, 5, 0)
    assert not (tmp_path / "logs" / "lab-again.log").exists()


def test_a_failure_without_a_second_chance_stays_one(tmp_path: Path) -> None:
    assert not run(tmp_path, (5, 1)).ok
    assert not run(tmp_path, (0, 1), (1, 0)).ok, "nothing passed at first: that is no accident"


def test_pytest_runs_only_what_failed(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "lab"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for name, text in (("sound", SOUND), ("flaky", FLAKY)):
        (folder / f"test_{name}.py").write_text(text)
    logs = tmp_path / "out" / "logs"
    outcome = Runner(logs).run(checks.lab_step(tmp_path, "lab", tmp_path / "out"))
    assert (outcome.ok, outcome.passed, outcome.failed, outcome.second) == (True, 2, 0, 1)
    assert "test_sound" not in (logs / "lab-again.xml").read_text(encoding="utf-8")


def test_molecule_runs_the_scenarios_again_that_failed(tmp_path: Path) -> None:
    step = checks.molecule_step(tmp_path, tmp_path, tmp_path)
    assert step.again is not None
    repeated = step.again(step, RECAP)
    assert repeated is not None
    assert repeated.commands[0][-2:] == ("--scenario-name", "routing")
    assert "--all" not in repeated.commands[0]
    assert step.again(step, "no recap") is None
    assert checks.count_scenarios(RECAP) == (2, 1)
