# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the house that no linter knows; docs/architecture.md gives the reasons."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml
from support.collection import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGINS = ROOT / "plugins"
UTILS = PLUGINS / "module_utils"
PURE = ("routes", "analysis", "rollout", "replicas")
LICENCE = "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"
PREFIX = "canary_"


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks or would track and that are still there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = sorted(ROOT / name for name in set(listed) if name and (ROOT / name).is_file())
    assert found, f"no file matches {patterns}: the rule would prove nothing"
    return found


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports: absolute names as they are, relative ones from module_utils on, as `.errors`."""
    package = ("", *path.relative_to(UTILS).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(package), f"{shown(path)}: an import leaves module_utils"
            base = ".".join(package[: len(package) - node.level + 1])
            yield from (f"{base}.{node.module}" if node.module else f"{base}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", [pytest.param(p, id=shown(p)) for room in PURE for p in (UTILS / room).glob("*.py")])
def test_a_pure_room_imports_only_what_is_pure(path: Path) -> None:
    allowed = (".errors", ".findings", *(f".{room}" for room in PURE))
    for name in imports(path):
        if name.startswith("."):
            assert name.startswith(allowed), f"{name} is not pure"
        else:
            assert name.partition(".")[0] in sys.stdlib_module_names, f"{name} is not in the standard library"


@pytest.mark.parametrize("path", [pytest.param(p, id=shown(p)) for p in UTILS.glob("*.py")])
def test_a_door_decides_nothing(path: Path) -> None:
    """Doors never read a weight: they do not know the rooms that do."""
    known = [name for name in imports(path) if name.startswith(tuple(f".{room}" for room in (*PURE, "commands")))]
    assert not known, f"{shown(path)} imports {known}"


def test_files_are_short() -> None:
    long = {shown(p): n for p in tracked("*.py") if (n := p.read_text(encoding="utf-8").count("\n")) >= 300}
    assert not long, f"300 lines or more, split them: {long}"


def test_every_python_file_names_its_licence() -> None:
    nameless = [shown(p) for p in tracked("plugins/*.py", "lab/*.py", "tests/*.py") if _lacks_licence(p)]
    assert not nameless


def _lacks_licence(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return bool(text) and LICENCE not in text.split("\n")[:4]


def test_no_machine_and_no_promise_in_the_repository() -> None:
    """Where somebody works means nothing to others, and what is to be done stands in issues."""
    words = r"(?<![\w.}])/(home|root|Users|tmp|work|workspace)/[\w.]|\b(TO[D]O|FIX[M]E|X[X]X)\b"  # this line has none
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        if path.name != "go.sum":
            found += [f"{shown(path)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if re.search(words, line)]
    assert not found, "\n".join(found)


def test_no_loop_of_a_role_takes_the_item_of_who_includes_it() -> None:
    """Variables given to a role are templated late: `item` in them must be the user's, also within a loop of ours."""
    bare = []
    for path in tracked("roles/*.yml"):
        for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "loop" in task and "loop_var" not in task.get("loop_control", {}):
                bare.append(f"{shown(path)}: {task['name']}")
    assert not bare, "\n".join(bare)


def _tasks(part: t.Any) -> Iterator[dict[str, t.Any]]:
    for one in part if isinstance(part, list) else []:
        if isinstance(one, dict):
            yield one
            for block in ("block", "rescue", "always"):
                yield from _tasks(one.get(block))


def modules() -> list[str]:
    return sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")


def test_modules_actions_and_the_group_name_the_same() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    actions = sorted(path.stem for path in (PLUGINS / "action").glob("*.py") if path.stem != "__init__")
    assert modules(), "the collection has no module"
    assert runtime["action_groups"]["canary"] == modules()
    assert actions == modules()


@pytest.mark.parametrize("name", modules())
def test_a_module_has_its_command_and_says_the_group(name: str) -> None:
    command = importlib.import_module(
        f"ansible_collections.meshops.canary.plugins.module_utils.commands.{name.removeprefix(PREFIX)}"
    )
    assert callable(command.run)
    source = (PLUGINS / "modules" / f"{name}.py").read_text(encoding="utf-8")
    documentation = yaml.safe_load(_constant(source, "DOCUMENTATION"))
    assert documentation["module"] == name
    assert any(
        str(part).startswith("meshops.canary.attributes") for part in documentation["extends_documentation_fragment"]
    )


def _constant(source: str, name: str) -> str:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return str(ast.literal_eval(node.value))
    raise AssertionError(f"{name} is missing")


def test_the_oldest_ansible_is_the_one_that_is_admitted() -> None:
    admitted = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    (pinned,) = re.findall(
        r"^ansible-core==(.+)$", (ROOT / "tests" / "requirements-oldest.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert re.fullmatch(r">=(\d+\.\d+)\.0", admitted), admitted
    assert pinned.startswith(f"{admitted[2:-2]}."), "else nobody has seen it work there"


def test_the_newest_ansible_is_the_one_that_the_readme_tells() -> None:
    pinned = (ROOT / "tests" / "requirements-newest.txt").read_text(encoding="utf-8")
    (newest,) = re.findall(r"^ansible-core==(\d+\.\d+)\.", pinned, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"with 2.17 and {newest} what its releases can break" in readme


def test_the_oldest_kubernetes_library_is_told_as_one() -> None:
    told = {
        "meta/ee-requirements.txt": r"^kubernetes>=(\d+)",
        "plugins/doc_fragments/connection.py": r"- kubernetes >= (\d+)",
        "README.md": r"`kubernetes` >= (\d+)",
    }
    found = {name: re.findall(words, (ROOT / name).read_text(encoding="utf-8"), re.M) for name, words in told.items()}
    assert len({tuple(numbers) for numbers in found.values()}) == 1, found
    assert all(len(numbers) == 1 for numbers in found.values()), found
