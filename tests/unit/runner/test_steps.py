# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A step counts its tests. Failed tests of the lab run once more, and the outcome names those that passed only then."""

from __future__ import annotations

import dataclasses
import sys
import typing as t
from pathlib import Path

from runner import checks
from runner.results import Result
from runner.steps import Outcome, Runner, Step

if t.TYPE_CHECKING:
    import pytest
    from runner.results import Line

STABLE = "def test_stable():\n    assert True\n"
FLAKY = """
import pathlib
def test_flaky():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def read(lines: list[Line]) -> list[Result]:
    """Read lines such as `ok one` and `failed two`."""
    return [Result(name, word == "ok", 0.1) for word, name in (line.split() for _at, line in lines)]


def step(folder: Path, name: str, *results: str, code: int | None = None) -> Step:
    """Return a step that prints the results and exits with `code`, by default 1 if a result is a failure."""
    code = int(any(result.startswith("failed") for result in results)) if code is None else code
    text = f"print({chr(10).join(results)!r}); raise SystemExit({code})"
    return Step(name, ((sys.executable, "-c", text),), folder, read=read)


def run(folder: Path, first: Step, *retry: str) -> Outcome:
    """Run a step whose retry prints the given results."""
    again = step(folder, "lab-retry", *retry)
    return Runner(folder / "logs").run(Step(**{**vars(first), "retry": lambda _step, _names: again}))


def test_tests_that_pass_on_retry_count_as_passed_and_are_named(tmp_path: Path) -> None:
    outcome = run(tmp_path, step(tmp_path, "lab", "ok a", "failed b", "failed c"), "ok b", "ok c")
    assert (outcome.ok, outcome.passed, outcome.failed, outcome.passed_on_retry) == (True, 3, 0, ("b", "c"))


def test_a_test_that_fails_twice_has_failed(tmp_path: Path) -> None:
    outcome = run(tmp_path, step(tmp_path, "lab", "ok a", "failed b", "failed c"), "ok b", "failed c")
    assert (outcome.ok, outcome.passed, outcome.failed, outcome.passed_on_retry) == (False, 2, 1, ("b",))


def test_without_a_failure_there_is_no_retry(tmp_path: Path) -> None:
    outcome = run(tmp_path, step(tmp_path, "lab", "ok a"), "ok a")
    assert (outcome.ok, outcome.passed, outcome.passed_on_retry) == (True, 1, ())
    assert not (tmp_path / "logs" / "lab-retry.log").exists()


def test_if_no_test_passed_there_is_no_retry(tmp_path: Path) -> None:
    outcome = run(tmp_path, step(tmp_path, "lab", "failed a"), "ok a")
    assert (outcome.ok, outcome.failed) == (False, 1)


def test_a_command_that_fails_outside_of_a_test_fails_the_step(tmp_path: Path) -> None:
    outcome = run(tmp_path, step(tmp_path, "lab", "ok a", code=3), "ok a")
    assert (outcome.ok, outcome.passed, outcome.failed) == (False, 1, 1)


def test_a_step_without_tests_has_failed(tmp_path: Path) -> None:
    assert not Runner(tmp_path / "logs").run(Step("lab", (("true",),), tmp_path, read=lambda _lines: [])).ok


def test_a_step_that_reads_no_tests_is_one_test(tmp_path: Path) -> None:
    runner = Runner(tmp_path / "logs")
    passed, failed = (runner.run(Step("lint", ((command,),), tmp_path)) for command in ("true", "false"))
    assert [(one.name, one.passed) for one in passed.tests + failed.tests] == [("lint", True), ("lint", False)]


def test_the_time_limit_stops_a_step_and_patience_extends_it(tmp_path: Path) -> None:
    slow = Step("slow", (("sleep", "1.5"),), tmp_path, seconds=1)
    assert not Runner(tmp_path / "logs").run(slow).ok
    assert "reached its time limit of 1 s" in (tmp_path / "logs" / "slow.log").read_text(encoding="utf-8")
    assert Runner(tmp_path / "logs", patience=30).run(slow).ok


def test_pytest_repeats_only_failed_tests(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "lab"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for name, text in (("stable", STABLE), ("flaky", FLAKY)):
        (folder / f"test_{name}.py").write_text(text)
    logs = tmp_path / "out" / "logs"
    (step,) = checks.lab_steps(tmp_path, "lab", tmp_path / "out")
    outcome = Runner(logs).run(step)
    assert (outcome.ok, outcome.passed, outcome.failed) == (True, 2, 0)
    assert outcome.passed_on_retry == ("tests.lab.test_flaky::test_flaky",)
    assert "test_stable" not in (logs / "lab-retry.xml").read_text(encoding="utf-8")


def test_tests_that_disturb_others_run_alone_after_them_and_each_test_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_SOAK", "0")
    shared, alone = checks.lab_steps(tmp_path, "mesh", tmp_path / "out")
    folder = tmp_path / "tests" / "mesh"
    folder.mkdir(parents=True)
    markers = 'markers = ["alone: by itself", "soak: long"]'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{markers}\n")
    (folder / "test_some.py").write_text(
        "import pytest\n\n\ndef test_shared(request):\n    assert hasattr(request.config, 'workerinput')\n\n\n"
        "@pytest.mark.alone\ndef test_alone(request):\n    assert not hasattr(request.config, 'workerinput')\n\n\n"
        "@pytest.mark.soak\n@pytest.mark.alone\ndef test_long():\n    assert True\n"
    )
    outcomes = [Runner(tmp_path / "out" / "logs").run(step) for step in (shared, alone)]
    assert [[one.name for one in outcome.tests] for outcome in outcomes] == [
        ["tests.mesh.test_some::test_shared"],
        ["tests.mesh.test_some::test_alone"],
    ]
    assert all(outcome.ok for outcome in outcomes)
    monkeypatch.setenv("CANARY_SOAK", "1")
    _shared, long = checks.lab_steps(tmp_path, "mesh", tmp_path / "out")
    names = [one.name for one in Runner(tmp_path / "out" / "logs").run(long).tests]
    assert names == ["tests.mesh.test_some::test_alone", "tests.mesh.test_some::test_long"]


def test_molecule_repeats_the_scenarios_that_failed(tmp_path: Path) -> None:
    first = checks.molecule_step(tmp_path, tmp_path, tmp_path)
    assert first.commands[-1][-1] == "--all"
    assert first.retry
    repeated = first.retry(first, ["routing", "rollout"])
    assert repeated.commands[-1][-4:] == ("--scenario-name", "routing", "--scenario-name", "rollout")
    assert "--all" not in repeated.commands[-1]


def test_molecule_starts_without_the_state_of_an_ended_run(tmp_path: Path) -> None:
    """It skips the playbook `create` where a state file says `created: true`, whoever left it."""
    step = checks.molecule_step(tmp_path, tmp_path / "home", tmp_path)
    state = Path(step.environment["MOLECULE_EPHEMERAL_DIRECTORY"])
    assert tmp_path / "out" in state.parents
    state.mkdir(parents=True)
    (state / "state.yml").write_text("created: true\n")
    assert step.retry
    for each in (step, step.retry(step, ["routing"])):
        forget, test = each.commands
        assert Runner(tmp_path / "logs").run(dataclasses.replace(each, commands=(forget,), read=None)).ok
        assert not state.exists()
        assert test[1] == "test"
        state.mkdir()
