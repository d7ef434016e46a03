# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of each tier: what is run, with which Python, for how long at most."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from .steps import Step

if t.TYPE_CHECKING:
    from collections.abc import Iterable

BIN = Path(sys.executable).parent
NAME = "meshops.canary"
MOLECULE_OPTIONS = ("--workers", "2", "--continue-on-failure")  # most of a scenario is waiting for pods
ON_EACH_RELEASE = (
    *(f"tests/unit/plugins/{kind}" for kind in ("callback", "filter", "plugin_utils")),
    *(
        f"tests/api/test_{name}.py"
        for name in ("parity", "preflight_playbook", "rollout_by_pods", "rollout_cohort_role")
    ),
)  # what Ansible's own changes from release to release can break: plugins, actions, roles, playbooks
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def lint_steps(root: Path, workspace: Path, home: Path) -> list[Step]:
    """Return the checks of the code as it stands, the longest first. workspace: see `workspace.collection_copy`."""
    copy = workspace / "ansible_collections" / "meshops" / "canary"
    quiet = {"HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(workspace), "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    quiet["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"

    def types(part: str) -> tuple[str, ...]:  # a cache each: mypy does not lock it, and they run side by side
        return ("mypy", "--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache" / part))

    def step(name: str, *commands: tuple[str, ...], folder: Path = copy) -> Step:
        programs = tuple((str(BIN / command[0]), *command[1:]) for command in commands)
        return Step(name, programs, folder, quiet, seconds=1200)  # a slow machine is no finding

    return [
        step("sanity", ("ansible-test", "sanity", "--local", "--python", PYTHON, "--color", "no")),
        step("mypy", (*types("plugins"), "ansible_collections/meshops/canary/plugins"), folder=workspace),
        step("ansible-lint", ("ansible-lint", "--offline", "--profile", "production")),
        step("mypy-lab", (*types("lab"), "lab"), folder=root),
        step("build", *package_commands(copy, workspace / "installed")),
        step(
            "docs",
            ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "dependent", "."),
        ),
        step("ruff", ("ruff", "check", "--no-cache", "."), folder=root),
        step("format", ("ruff", "format", "--no-cache", "--check", "--diff", "."), folder=root),
        step("yamllint", ("yamllint", "--strict", "."), folder=root),
        step("changelog", ("antsibull-changelog", "lint")),
    ]


def package_commands(copy: Path, installed: Path) -> list[tuple[str, ...]]:
    """Build the collection, install it elsewhere, and there read every plugin's, role's and playbook's own words."""
    version = yaml.safe_load((copy / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    tarball = installed / f"meshops-canary-{version}.tar.gz"
    options = ("--offline", "--no-deps", "--force", "--collections-path", str(installed))
    there = ("--playbook-dir", str(installed))
    commands = [
        ("ansible-galaxy", "collection", "build", "--force", "--output-path", str(installed), str(copy)),
        ("ansible-galaxy", "collection", "install", str(tarball), *options),
    ]
    for kind, names in documented(copy).items():
        if names:
            commands.append(("ansible-doc", *there, "--type", kind, *(f"{NAME}.{name}" for name in names)))
    playbooks = [f"{NAME}.{name}" for name in _stems((copy / "playbooks").glob("*.yml"))]
    if playbooks:
        commands.append(("ansible-playbook", "--inventory", "localhost,", "--syntax-check", *playbooks))
    return commands


def documented(copy: Path) -> dict[str, list[str]]:
    """Return the names that ansible-doc must know, by type."""
    plugins = copy / "plugins"
    return {
        "module": _stems((plugins / "modules").glob("*.py")),
        "filter": _stems((plugins / "filter").glob("*.yml")),
        "callback": _stems((plugins / "callback").glob("*.py")),
        "role": sorted(path.parents[1].name for path in (copy / "roles").glob("*/meta/argument_specs.yml")),
    }


def _stems(paths: Iterable[Path]) -> list[str]:
    return sorted(path.stem for path in paths if path.stem != "__init__")


def pytest_step(
    root: Path,
    name: str,
    out: Path,
    *options: str,
    seconds: float = 900,
    python: tuple[str, ...] = (sys.executable,),
    places: tuple[str, ...] = (),
) -> Step:
    """Return the step that runs the tests of one folder under tests/, or of other places, with a Python of its own."""
    report = out / "logs" / f"{name}.xml"
    command = (*python, "-m", "pytest", *(places or (f"tests/{name}",)), "-q", f"--junitxml={report}", *options)
    return Step(name, (command,), root, junit=report, seconds=seconds)


def release_steps(root: Path, out: Path) -> tuple[list[Step], list[str]]:
    """Return the steps with the oldest and the newest ansible-core, and what is not run here and why.

    What depends on the release is tested: some of the unit tests, and some of those of the API server.
    """
    python = newest_python()
    steps = [_release_step(root, out, "oldest", {})]
    if python is None:
        return steps, ["newest: not run, for no Python 3.12 or later was found, which the newest ansible-core needs."]
    return [*steps, _release_step(root, out, "newest", {"PYTHON": python})], []


def _release_step(root: Path, out: Path, which: str, environment: dict[str, str]) -> Step:
    python = ("bash", "-c", f'venv=$(tests/venv --{which}) && exec "$venv/bin/python" "$@"', "python")
    own = ("-o", f"cache_dir=.pytest_cache/{which}")  # both run at once, and each remembers what failed
    step = pytest_step(root, which, out, *own, seconds=1200, python=python, places=ON_EACH_RELEASE)
    return _with_second_chance(dataclasses.replace(step, environment=environment), out)


def newest_python() -> str | None:
    """Return a Python of 3.12 or later: of the PATH, or one that pyenv has and does not put there."""
    known = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    hidden = sorted(pyenv.glob("versions/3.1[2-9].*/bin/python3"), reverse=True)
    fits = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))"
    for python in filter(None, [*known, *map(str, hidden)]):
        if subprocess.run([python, "-c", fits], capture_output=True, check=False).returncode == 0:
            return python
    return None


def lab_step(root: Path, name: str, out: Path) -> Step:
    """Return the same for tests that need the lab."""
    return _with_second_chance(pytest_step(root, name, out, "--durations=15", seconds=3300), out)


def _with_second_chance(first: Step, out: Path) -> Step:
    """Let what fails beside other work be tried again, and tell."""

    def again(step: Step, _log: str) -> Step | None:
        if not (step.junit and step.junit.exists()):
            return None  # ended before pytest was
        report = out / "logs" / f"{first.name}-again.xml"
        words = [word for word in step.commands[0] if not word.startswith("--junitxml=")]
        command = (*words, f"--junitxml={report}", "--last-failed", "--last-failed-no-failures=none")
        return dataclasses.replace(step, name=f"{first.name}-again", commands=(command,), junit=report, seconds=900)

    return dataclasses.replace(first, again=again)


def property_step(root: Path, out: Path, *, thorough: bool) -> Step:
    """Return the step of the property tests. thorough: over 10,000 examples, which takes minutes on two processors."""
    options = ("--hypothesis-profile=ci", "-n", "2") if thorough else ()
    return pytest_step(root, "property", out, *options, seconds=1800)


def molecule_step(root: Path, home: Path, collections: Path) -> Step:
    """Return the step that runs every Molecule scenario against the lab."""
    environment = {
        "HOME": str(home),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "NO_COLOR": "1",
    }
    command = (str(BIN / "molecule"), "test", "--report", *MOLECULE_OPTIONS, "--all")

    def again(step: Step, log: str) -> Step | None:
        _passed, failed = scenarios(log)
        names = [word for name in sorted(failed) for word in ("--scenario-name", name)]
        repeated = (*command[:-1], *names)
        return dataclasses.replace(step, name="molecule-again", commands=(repeated,), seconds=900) if names else None

    return Step("molecule", (command,), root, environment, seconds=2400, counter=count_scenarios, again=again)


def count_scenarios(log: str) -> tuple[int, int]:
    """Return how many scenarios passed and failed."""
    passed, failed = scenarios(log)
    return len(passed), len(failed)


def scenarios(log: str) -> tuple[set[str], set[str]]:
    """Return the names of the scenarios that passed and that failed, from the recap that Molecule prints at its end.

    A line is `NAME : actions=5 successful=4 ... missing=1 failed=0`; `default` has one at either end.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    lines = re.findall(r"^(\S+) +: actions=.* failed=(\d+)", plain, flags=re.MULTILINE)
    failed = {name for name, failures in lines if failures != "0"}
    return {name for name, _failures in lines} - failed, failed
