# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results and seconds of single tests, from JUnit reports and from Molecule's output."""

from __future__ import annotations

import subprocess
import sys
import typing as t

import pytest
from runner import results

if t.TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import time
import pytest

@pytest.fixture
def slow():
    time.sleep(0.2)
    yield
    time.sleep(0.2)

@pytest.fixture
def broken():
    raise OSError

def test_passes(slow):
    assert True

def test_fails():
    assert False

def test_errs(broken):
    assert True

def test_is_skipped():
    pytest.skip("no time")
"""
# Two workers: the actions of `default` and `routing` run at the same time.
MOLECULE = """
1.0 INFO     [default > create] Executing
3.0 INFO     [default > create] Executed: Successful
3.0 INFO     [routing > converge] Executing
3.5 INFO     [default > converge] Executing
4.0 INFO     [default > converge] Executed: Successful
8.0 INFO     [routing > converge] Executed: Successful
8.0 INFO     [routing > verify] Executing
9.5 ERROR    [routing > verify] Executed: Failed
10.0 default                   : actions=1  successful=1  disabled=0  skipped=0  missing=0  failed=0
10.0 routing                   : actions=2  successful=1  disabled=0  skipped=0  missing=0  failed=1
10.0 \x1b[32mdefault\x1b[0m                   : actions=1  successful=1  disabled=0  skipped=0  missing=0  failed=0
10.0 rollout                   : actions=1  successful=0  disabled=0  skipped=0  missing=0  failed=1
10.0 rollout                   : actions=1  successful=1  disabled=0  skipped=0  missing=0  failed=0
10.0 versions                  : actions=2  successful=2  disabled=0  skipped=0  missing=0  failed=0
"""


def test_a_junit_report_has_results_and_seconds_with_setup_and_teardown(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "test_it.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = {test.name: test for test in results.read_junit(report)}
    assert {name: test.passed for name, test in found.items()} == {
        "test_it::test_passes": True,
        "test_it::test_fails": False,
        "test_it::test_errs": False,
    }
    assert found["test_it::test_passes"].seconds >= 0.4


def test_a_missing_junit_report_has_no_tests(tmp_path: Path) -> None:
    assert results.read_junit(tmp_path / "none.xml") == []


def test_a_molecule_scenario_takes_as_long_as_its_actions() -> None:
    lines = [(float(at), line) for at, line in (line.split(" ", 1) for line in MOLECULE.strip().split("\n"))]
    assert results.read_molecule(lines) == [
        results.Result("default", True, pytest.approx(2.5)),
        results.Result("routing", False, pytest.approx(6.5)),
        results.Result("rollout", False, 0.0),
        results.Result("versions", True, 0.0),
    ]


@pytest.mark.parametrize(
    ("named", "failed"), [("versions", ["versions"]), ("default, versions", ["default", "versions"])]
)
def test_a_molecule_scenario_that_is_not_idempotent_failed_though_the_recap_counts_no_failure(
    named: str, failed: list[str]
) -> None:
    lines = [(0.0, line.split(" ", 1)[1]) for line in MOLECULE.strip().split("\n")]
    lines.append((0.0, f"ERROR    Scenarios failed: {named}"))
    found = {result.name: result.passed for result in results.read_molecule(lines)}
    assert [name for name in ("default", "versions") if not found[name]] == failed


def test_molecule_without_a_recap_has_no_tests() -> None:
    assert results.read_molecule([(0.0, "INFO     [routing > converge] Executing"), (1.0, "killed")]) == []
