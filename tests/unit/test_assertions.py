# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every test has an assertion, in itself, in a function of its file, or in a shared function named assert_*."""

from __future__ import annotations

import ast
import re
import typing as t

import pytest
from support.collection import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((ROOT / "tests").rglob("test_*.py"))
ASSERTING = re.compile(r"raises|fail|assert_\w+")  # the first two are pytest's


def called(function: ast.FunctionDef) -> set[str]:
    """Return the names that the function calls: `b` for `a.b()`."""
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in calls}


def without_assertion(source: str) -> set[str]:
    """Return the names of a file's tests that assert nothing."""
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    calls = {name: called(function) for name, function in functions.items()}
    asserting = {name for name, one in functions.items() if any(isinstance(node, ast.Assert) for node in ast.walk(one))}
    asserting |= set(filter(ASSERTING.fullmatch, set().union(*calls.values())))
    while more := {name for name in functions if name not in asserting and calls[name] & asserting}:
        asserting |= more
    return {name for name in functions if name.startswith("test_")} - asserting


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in FILES])
def test_every_test_has_an_assertion(path: Path) -> None:
    assert without_assertion(path.read_text(encoding="utf-8")) == set()


def test_an_assertion_in_a_called_function_counts_and_a_call_without_one_does_not() -> None:
    source = """
def check(): assert True
def prepare(): print()
def test_asserts(): assert True
def test_expects_an_error(): pytest.raises(ValueError)
def test_calls_a_check(): check()
def test_calls_a_shared_check(): support.assert_split()
class TestGroup:
    def test_of_a_class(self): prepare()
def test_only_runs(): prepare()
"""
    assert without_assertion(source) == {"test_of_a_class", "test_only_runs"}
