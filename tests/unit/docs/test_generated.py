# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated pages match the code."""

from __future__ import annotations

import ast
import importlib.util
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from ansible_collections.meshops.canary.plugins.module_utils.preflight.inspection import Evidence
from ansible_collections.meshops.canary.plugins.module_utils.preflight.permissions import Right
from support.preflight_defects import TABLE, codes, inspect
from support.reviews import healthy

ROOT = Path(__file__).resolve().parents[3]


def generator() -> t.Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["architecture.md", "findings.md", "rights.md"])
def test_the_page_is_up_to_date(name: str) -> None:
    path = ROOT / "docs" / name
    assert path.read_text(encoding="utf-8") == generator().pages()[path], "run docs/generate.py"


def test_every_finding_has_one_section() -> None:
    lines = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8").splitlines()
    assert [code for code in CATALOGUE if lines.count(f"### {code}") != 1] == []


def test_the_page_names_what_finds_each_code() -> None:
    others = {who: set(listed.split()) for who, listed in generator().FOUND_BY.items()}
    rights = {Right("get", "", "pods", "shop", optional=one): False for one in (True, False)}
    requested = [inspect(healthy(), evidence=one) for one in (Evidence(), Evidence(rights, []))]
    preflight = {code for _break_it, wanted in TABLE for code in wanted}.union(*map(codes, requested))
    assert set(CATALOGUE) - set().union(*others.values()) == preflight, "found in a service as it is, without a change"
    files = [ROOT / f"plugins/module_utils/preflight/{name}.py" for name in ("deployments", "pod_shutdown")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    named = {node.value for node in nodes if isinstance(node, ast.Constant)}
    too = {code for listed in generator().ALSO_FOUND_BY.values() for code in listed.split()}
    assert named & set(CATALOGUE) == others["`canary_replicas`"] | too
