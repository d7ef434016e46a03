# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files around the code: workflows run make targets that exist, and issue templates and owners name what exists."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
import yaml
from support.collection import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, re.M))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: t.Any) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: t.Any) -> list[dict[str, t.Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_for_changes_and_for_releases() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]


@each_workflow
def test_its_make_targets_and_files_exist(path: t.Any) -> None:
    commands = [str(step["run"]) for step in steps(path) if "run" in step]
    targets = [name for command in commands for name in re.findall(r"\bmake ([a-z-]+)", command)]
    assert targets
    assert set(targets) <= TARGETS
    files = [
        word for command in commands for word in re.findall(r"(?<![\w./])(?:\.ci/\w+|[\w/]+\.(?:md|yml))", command)
    ]
    assert all((ROOT / name).is_file() for name in files), files


@each_workflow
def test_it_may_only_read_unless_a_job_says_more(path: t.Any) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120
        assert job.get("permissions", {}) in ({}, {"contents": "write"}), name


@each_workflow
def test_it_uses_actions_of_github_alone(path: t.Any) -> None:
    used = [str(step["uses"]) for step in steps(path) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", one) for one in used), used


@each_workflow
def test_no_text_of_a_stranger_is_part_of_a_command(path: t.Any) -> None:
    """Titles and branch names of pull requests are input: in a command they would be code."""
    commands = [str(step["run"]) for step in steps(path) if "run" in step]
    expressions = [one for command in commands for one in re.findall(r"\$\{\{ *([\w.]+)", command)]
    assert all(one.startswith("matrix.") for one in expressions), expressions


def test_the_matrix_has_the_pythons_and_the_releases_of_ansible_core_that_are_pinned() -> None:
    jobs = read(GITHUB / "workflows" / "ci.yml")["jobs"]
    assert {one["core"] for one in jobs["plugins"]["strategy"]["matrix"]["include"]} == {"oldest", "newest"}
    assert all((ROOT / "tests" / f"requirements-{core}.txt").is_file() for core in ("oldest", "newest"))
    pinned = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()[0]
    (first, last) = re.findall(r"3\.(\d+)", pinned)
    pythons = [f"3.{minor}" for minor in range(int(first), int(last) + 1)]
    assert jobs["check"]["strategy"]["matrix"]["python"] == pythons


def test_the_workflow_runs_what_continuous_integration_runs() -> None:
    assert any(step.get("run") == ".ci/run" for step in steps(GITHUB / "workflows" / "ci.yml"))


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_template_asks_something(name: str) -> None:
    form = read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "labels", "body"} <= set(form)
    names = [one["id"] for one in form["body"]]
    assert len(names) == len(set(names))
    assert any(one.get("validations", {}).get("required") for one in form["body"])


def test_owners_are_named_for_files_that_exist() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()]
    rules = [words for words in lines if words and words[0] != "#"]
    assert rules[0][0] == "*"
    for pattern, *owners in rules:
        assert owners
        assert all(owner.startswith("@meshops/") for owner in owners)
        assert pattern == "*" or list(ROOT.glob(pattern.strip("/"))), pattern


def test_the_bill_of_materials_names_the_dependencies_of_the_collection() -> None:
    text = (ROOT / "tests" / "sbom.py").read_text(encoding="utf-8")
    namespace: dict[str, t.Any] = {"__name__": "sbom", "__file__": str(ROOT / "tests" / "sbom.py")}
    exec(compile(text, "sbom.py", "exec"), namespace)
    found, wanted = namespace["galaxy"](), read(ROOT / "galaxy.yml")
    assert found["dependencies"] == wanted["dependencies"]
    assert [found["license"]] == wanted["license"]
    component = namespace["main_component"](found)
    assert (component["name"], component["version"]) == ("meshops.canary", wanted["version"])
    assert json.dumps(namespace["component_of"]("kubernetes.core", ">=5.0.0"))
