# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conventions that no linter checks; docs/architecture.md gives the reasons. Who imports whom: test_layers.py."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import tokenize
import typing as t

import pytest
import yaml
from support.collection import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGINS = ROOT / "plugins"
LICENCE = "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"
PREFIX = "canary_"
LIMIT = 500
"""Lines of a Python file; functions are bounded by ruff (mccabe)."""


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks or would track and that are still there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = sorted(ROOT / name for name in set(listed) if name and (ROOT / name).is_file())
    assert found, f"no file matches {patterns}: the rule would prove nothing"
    return found


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_are_short() -> None:
    long = {shown(p): n for p in tracked("*.py") if (n := p.read_text(encoding="utf-8").count("\n")) > LIMIT}
    assert not long, f"over {LIMIT} lines, split them: {long}"


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
    plain = []
    for path in tracked("roles/*.yml"):
        for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "loop" in task and "loop_var" not in task.get("loop_control", {}):
                plain.append(f"{shown(path)}: {task['name']}")
    assert not plain, "\n".join(plain)


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


def test_the_readme_names_the_newest_ansible_core_that_is_tested() -> None:
    pinned = (ROOT / "tests" / "requirements-newest.txt").read_text(encoding="utf-8")
    (newest,) = re.findall(r"^ansible-core==(\d+\.\d+)\.", pinned, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert newest in re.findall(r"\b2\.\d+\b", readme)


def test_the_oldest_kubernetes_library_is_told_as_one() -> None:
    result = {
        "meta/ee-requirements.txt": r"^kubernetes>=(\d+)",
        "plugins/doc_fragments/connection.py": r"- kubernetes >= (\d+)",
        "README.md": r"`kubernetes` >= (\d+)",
    }
    found = {name: re.findall(words, (ROOT / name).read_text(encoding="utf-8"), re.M) for name, words in result.items()}
    assert len({tuple(numbers) for numbers in found.values()}) == 1, found
    assert all(len(numbers) == 1 for numbers in found.values()), found


IDENTIFIERS: t.Final = {
    "told": "summary, result, description",
    "untold": "undescribed",
    "asked": "options, requested",
    "dressed": "apply_desired",
    "wish": "desired",
    "those": "select, by what it is",
    "whoever": "holder_identity",
    "outlast": "extend_to",
    "unstopped": "resumed",
    "harmed": "failed_requests",
    "hanging": "stalled",
    "dead_man": "watchdog",
    "trail": "audit_log, entries",
    "heart": "heartbeat",
    "calm": "consecutive_passes",
    "concerned": "affected",
    "Happenings": "RunEvents",
}
"""Words that are no identifier, each with the term to use."""
PHRASES: t.Final = {
    "A right call": "Example",
    "To be forced are": "Codes that can be forced",
    "of no use here": "has no effect here",
    "no chance explains": "statistically significant",
    "taken back": "rolled back",
    "takes the canary back": "rolls the canary back",
    "given back": "restored",
    "gives back": "restores",
    "somebody's edit": "external change (drift)",
    "edited by hand": "external change (drift)",
    "keeps changing": "was modified twice while this task was planning it",
    "dead man": "watchdog (but once: the pattern is a dead man's switch)",
    "licence": "license",
    "enrol ": "enroll",
    "utilisation": "utilization",
    "colour": "color",
    "behaviour": "behavior",
    "recognis": "recogniz",
}
"""Phrases that no message, task, option or page has, each with the term to use."""


def test_identifiers_are_the_terms_of_the_field() -> None:
    found = []
    for path in tracked("plugins/*.py", "lab/*.py", "tests/*.py", "docs/*.py"):
        with path.open("rb") as source:
            found += [
                f"{shown(path)}:{token.start[0]}: {token.string} (use {IDENTIFIERS[token.string]})"
                for token in tokenize.tokenize(source.readline)
                if token.type == tokenize.NAME and token.string in IDENTIFIERS
            ]
    assert not found, "\n".join(found)


def test_messages_and_pages_are_plain_technical_american_english() -> None:
    pattern = re.compile(f"(?:{'|'.join(map(re.escape, PHRASES))})(?!'s switch)", re.IGNORECASE)
    found = []
    for path in tracked(
        "plugins/*", "roles/*", "playbooks/*", "extensions/*", "lab/*.py", "lab/*.md", "docs/*", "*.md"
    ):
        if path.suffix in (".py", ".yml", ".yaml", ".j2", ".md", ".json") and path.name != "CODE_OF_CONDUCT.md":
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [
                f"{shown(path)}:{n}: {match[0]} (use {PHRASES.get(match[0].lower(), PHRASES.get(match[0]))})"
                for n, line in enumerate(lines, 1)
                if (match := pattern.search(line))
            ]
    assert not found, "\n".join(found)
