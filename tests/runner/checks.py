# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of each tier: commands, Python, time limit."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from support.effort import is_soak

from .results import read_molecule
from .steps import Step

if t.TYPE_CHECKING:
    from collections.abc import Iterable

BIN = Path(sys.executable).parent
NAME = "meshops.canary"
TWO_AT_A_TIME = ("--numprocesses=2", "--dist=loadfile")
MOLECULE_OPTIONS = ("--workers", "2", "--continue-on-failure")  # scenarios mostly wait for pods
# What a release of ansible-core can break: plugins, actions, results, roles and playbooks.
ON_EACH_RELEASE = (
    *(f"tests/unit/plugins/{kind}" for kind in ("callback", "filter", "plugin_utils")),
    "tests/releases",
    "tests/api/test_parity.py",
)
IN_SOAK_ON_EACH_RELEASE = tuple(
    f"tests/api/test_{name}.py" for name in ("preflight_playbook", "rollout_by_pods", "rollout_cohort_role")
)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def lint_steps(root: Path, workspace: Path, home: Path) -> list[Step]:
    """Return the steps of the tier lint, the longest first. workspace: see `workspace.collection_copy`."""
    copy = workspace / "ansible_collections" / "meshops" / "canary"
    quiet = {"HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(workspace), "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    quiet["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"

    def types(part: str) -> tuple[str, ...]:  # own caches: mypy does not lock its cache, and the steps run in parallel
        return ("mypy", "--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache" / part))

    def step(name: str, *commands: tuple[str, ...], folder: Path = copy) -> Step:
        programs = tuple((str(BIN / command[0]), *command[1:]) for command in commands)
        return Step(name, programs, folder, quiet, seconds=1200)  # long enough for a busy machine

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
        step("site", ("python", "docs/site.py", str(workspace / "site")), folder=root),
        step("ruff", ("ruff", "check", "--no-cache", "."), folder=root),
        step("format", ("ruff", "format", "--no-cache", "--check", "--diff", "."), folder=root),
        step("yamllint", ("yamllint", "--strict", "."), folder=root),
        step("changelog", ("antsibull-changelog", "lint")),
    ]


def package_commands(copy: Path, installed: Path) -> list[tuple[str, ...]]:
    """Build the collection, install it elsewhere, and read all documentation there."""
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
    """Return the names that ansible-doc must find, by type."""
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
    """Return the step that runs the tests of one folder under tests/, or of `places`, with another Python if given."""
    report = out / "logs" / f"{name}.xml"
    command = (*python, "-m", "pytest", *(places or (f"tests/{name}",)), "-q", f"--junitxml={report}", *options)
    return Step(name, (command,), root, junit=report, seconds=seconds)


def release_steps(root: Path, out: Path) -> tuple[list[Step], list[str]]:
    """Return the steps with the oldest and the newest ansible-core, and sentences on what does not run here.

    They run the tests that depend on the release, in `make soak` more of them.
    """
    python = newest_python()
    steps = [_release_step(root, out, "oldest", {})]
    if python is None:
        return steps, ["newest: not run. The newest ansible-core needs Python 3.12 or later, and none was found."]
    return [*steps, _release_step(root, out, "newest", {"PYTHON": python})], []


def _release_step(root: Path, out: Path, which: str, environment: dict[str, str]) -> Step:
    python = ("bash", "-c", f'venv=$(tests/venv --{which}) && exec "$venv/bin/python" "$@"', "python")
    own = ("-o", f"cache_dir=.pytest_cache/{which}")  # both run at once, and each remembers its failed tests
    places = (*ON_EACH_RELEASE, *(IN_SOAK_ON_EACH_RELEASE if is_soak() else ()))
    step = pytest_step(root, which, out, *own, seconds=1200, python=python, places=places)
    return dataclasses.replace(step, environment=environment, retry=_retry_failed)


def newest_python() -> str | None:
    """Return a Python of 3.12 or later, from the PATH or from pyenv, which may have it without a link in the PATH."""
    known = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    hidden = sorted(pyenv.glob("versions/3.1[2-9].*/bin/python3"), reverse=True)
    fits = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))"
    for python in filter(None, [*known, *map(str, hidden)]):
        if subprocess.run([python, "-c", fits], capture_output=True, check=False).returncode == 0:
            return python
    return None


def lab_steps(root: Path, name: str, out: Path) -> list[Step]:
    """Return the steps that run the tests of one folder under tests/ that need the lab, one after the other.

    Tests mostly wait for the cluster, so two run at a time; those marked `alone` follow by themselves. Those marked
    `soak` are the long form of a proof that others make shortly.
    """
    place, also = (f"tests/{name}",), "" if is_soak() else " and not soak"
    shared = pytest_step(root, name, out, "-m", f"not alone{also}", *TWO_AT_A_TIME, seconds=3300, places=place)
    alone = pytest_step(root, f"{name}-alone", out, "-m", f"alone{also}", seconds=1200, places=place)
    steps = [shared, alone] if name in ("api", "mesh") else [shared]
    return [dataclasses.replace(step, retry=_retry_failed) for step in steps]


def _retry_failed(step: Step, _names: list[str]) -> Step:
    """Return the step that runs the failed tests of a pytest step again. pytest remembers them."""
    assert step.junit
    report = step.junit.with_stem(f"{step.name}-retry")
    words = [word for word in step.commands[0] if not word.startswith("--junitxml=") and word not in TWO_AT_A_TIME]
    command = (*words, f"--junitxml={report}", "--last-failed", "--last-failed-no-failures=none")
    return dataclasses.replace(step, name=f"{step.name}-retry", commands=(command,), junit=report, seconds=900)


def property_step(root: Path, out: Path, profile: str) -> Step:
    """Return the step of the property tests. profile: of hypothesis, see tests/property/conftest.py."""
    options = ("-n", "2", f"--hypothesis-seed={os.environ['CANARY_SEED']}") if is_soak() else ()
    return pytest_step(root, "property", out, f"--hypothesis-profile={profile}", *options)


def molecule_step(root: Path, home: Path, collections: Path) -> Step:
    """Return the step that runs every Molecule scenario against the lab.

    Molecule remembers in a directory what was created, by default in one that all checkouts of the same name share.
    A run that was ended would leave there that the lab is up, and later runs would not ask for its addresses.
    So the state is the checkout's own, and each command starts from none.
    """
    state = root / "out" / "molecule"
    environment = {
        "MOLECULE_EPHEMERAL_DIRECTORY": str(state),
        "HOME": str(home),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "NO_COLOR": "1",
    }
    forget = ("rm", "-rf", str(state))
    command = (str(BIN / "molecule"), "test", "--report", *MOLECULE_OPTIONS)

    def retry(step: Step, failed: list[str]) -> Step:
        names = [word for name in failed for word in ("--scenario-name", name)]
        return dataclasses.replace(step, name="molecule-retry", commands=(forget, (*command, *names)), seconds=900)

    commands = (forget, (*command, "--all"))
    return Step("molecule", commands, root, environment, seconds=2400, read=read_molecule, retry=retry)
