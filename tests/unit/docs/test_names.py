# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands, variables, options and error codes that the pages name exist."""

from __future__ import annotations

import functools
import importlib
import json
import re
import typing as t

import pytest
import yaml
from support.collection import ROOT
from support.playbooks import PLAYBOOKS, ROLES, options_of, tags_of, variables_of

if t.TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")])
FOR_HOOKS = {"rollout_run", "rollout_step", "release_event"}
RULEBOOKS = {path.stem for path in ROOT.glob("extensions/eda/rulebooks/*.yml")}
PLUGINS = {path.stem for kind in ("modules", "filter", "callback") for path in ROOT.glob(f"plugins/{kind}/*.*")}
NAMES = PLUGINS | ROLES | PLAYBOOKS | RULEBOOKS | {"canary"}  # the last is the group of all modules
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@functools.cache
def options_of_module(name: str) -> frozenset[str]:
    command = f"ansible_collections.meshops.canary.plugins.module_utils.commands.{name.removeprefix('canary_')}"
    return frozenset(importlib.import_module(command).SPEC.options)


def given(command: str) -> t.Iterator[str]:
    """Yield the variables that a command gives with -e."""
    yield from re.findall(r"-e (\w+)=", command)
    for text in re.findall(r"-e '(\{.*?\})'", command):
        yield from json.loads(text)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8").replace("\\\n", " ")


def mappings(part: t.Any) -> t.Iterator[dict[str, t.Any]]:
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from mappings(one)
    if isinstance(part, dict):
        yield part


@each_page
def test_what_is_called_by_its_full_name_exists(page: Path) -> None:
    named = re.findall(r"(?<![\w/-])meshops\.canary\.(\w+)", text_of(page))
    assert {name for name in named if name not in NAMES} == set()


@each_page
def test_commands_give_playbooks_variables_they_have(page: Path) -> None:
    for playbook, command in re.findall(r"ansible-playbook (?:-i \S+ )?meshops\.canary\.(\w+)(.*)", text_of(page)):
        unknown = set(given(command)) - variables_of(playbook)
        assert not unknown, f"{playbook}: {unknown}"


@each_page
def test_variables_of_roles_exist(page: Path) -> None:
    for role in ROLES:
        named = re.findall(rf"(?<![\w.]){role}_\w+\b(?!\.(?:yml|py))", text_of(page))
        unknown = set(named) - options_of(role) - tags_of(role) - FOR_HOOKS - NAMES
        assert not unknown, f"{role}: {unknown}"


@each_page
def test_tasks_give_modules_options_they_have(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        for task in mappings(list(yaml.safe_load_all(block))):
            for module in (key.removeprefix("meshops.canary.") for key in task if str(key).startswith("meshops.")):
                unknown = set(task[f"meshops.canary.{module}"]) - options_of_module(module)
                assert not unknown, f"{module}: {unknown}"


@each_page
def test_error_codes_exist(page: Path) -> None:
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("plugins/module_utils/**/*.py"))
    codes = {code for source in sources for code in re.findall(r'^    code = "(\w+)"$', source, re.M)}
    assert set(re.findall(r"`error_code: (\w+)`", text_of(page))) <= codes
