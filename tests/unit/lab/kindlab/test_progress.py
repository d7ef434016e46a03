# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps: their log, their reports, their errors."""

from __future__ import annotations

import sys
import time
import typing as t

import pytest

from lab.kindlab import progress
from lab.kindlab.errors import LabError

if t.TYPE_CHECKING:
    import pathlib


def test_failed_step_shows_its_log_and_the_remedy(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LabError) as caught, progress.step("Make the thing", tmp_path, "Fix it.") as step:
        step.run([sys.executable, "-c", "import sys; sys.exit('the disk is full')"])
    assert 'The step "Make the thing" failed' in caught.value.message
    assert "the disk is full" in caught.value.message
    assert str(tmp_path / "make-the-thing.log") in caught.value.message
    assert caught.value.remedy == "Fix it."


def test_long_step_reports_that_it_is_still_running(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "REPORT_INTERVAL", 0.05)
    with progress.step("Build it", tmp_path):
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert "Build it: still running after" in lines[1]
    assert str(tmp_path / "build-it.log") in lines[1]
    assert "done in" in lines[-1]


def test_failure_in_nested_steps_is_reported_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LabError) as caught, progress.step("Outer", tmp_path), progress.step("Inner", tmp_path) as step:
        step.run(["/no/such/program"])
    assert 'The step "Inner" failed' in caught.value.message
    assert "Outer" not in caught.value.message
