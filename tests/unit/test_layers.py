# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which package of plugins/module_utils may import which: docs/packages.yml is the table."""

from __future__ import annotations

import ast
import sys
import typing as t

import pytest
import yaml
from support.collection import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UTILS = ROOT / "plugins" / "module_utils"

PACKAGES: t.Final = yaml.safe_load((ROOT / "docs" / "packages.yml").read_text(encoding="utf-8"))
MAY_IMPORT: t.Final = {one["name"]: set(one["imports"]) for one in PACKAGES}
PURE: t.Final = {one["name"] for one in PACKAGES if one.get("pure")}
ALL_MAY: t.Final = {"errors", "findings"}
IO: t.Final = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http", "importlib", "io", "logging"),
    *("mmap", "multiprocessing", "os", "pathlib", "platform", "pty", "queue", "random", "resource", "runpy", "sched"),
    *("secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3"),
    *("ssl", "subprocess", "sys", "tempfile", "termios", "threading", "time", "tty", "urllib", "uuid", "warnings"),
}
"""Modules of the standard library that read or change the world, wait, or give another answer each time."""


def package(path: Path) -> str:
    return path.relative_to(UTILS).parts[0].removesuffix(".py")


def files() -> list[Path]:
    found = sorted(path for path in UTILS.rglob("*.py") if path != UTILS / "__init__.py")
    assert found
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports: absolute names as they are, relative ones from module_utils on, as `.kube.http`."""
    folder = ("", *path.relative_to(UTILS).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(folder), f"{path}: an import leaves module_utils"
            base = ".".join([*folder[: len(folder) - node.level + 1], *filter(None, [node.module])])
            yield from (f"{base}.{name.name}" if is_package(base) else base for name in node.names)


def is_package(name: str) -> bool:
    return UTILS.joinpath(*name.strip(".").split(".")).is_dir()


def parametrized(paths: list[Path]) -> list[t.Any]:
    return [pytest.param(path, id=str(path.relative_to(UTILS))) for path in paths]


def test_the_table_names_every_package() -> None:
    assert {package(path) for path in files()} == set(MAY_IMPORT)


def test_the_table_has_no_circle() -> None:
    above: dict[str, set[str]] = {}
    for name, allowed in MAY_IMPORT.items():
        assert allowed <= set(above), f"{name} may import only packages listed before it"
        above[name] = allowed


@pytest.mark.parametrize("path", parametrized(files()))
def test_a_module_imports_only_from_the_packages_below_its_own(path: Path) -> None:
    allowed = {package(path), *MAY_IMPORT[package(path)], *ALL_MAY}
    used = {name.split(".")[1] for name in imports(path) if name.startswith(".")}
    assert used <= allowed, f"{package(path)} may not import {', '.join(sorted(used - allowed))}"


def test_no_allowance_is_unused() -> None:
    """A table that allows more than the code needs would hide the first wrong import."""
    used: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    for path in files():
        used[package(path)] |= {name.split(".")[1] for name in imports(path) if name.startswith(".")}
    unused = {name: allowed - used[name] for name, allowed in MAY_IMPORT.items()}
    assert not {name: rest for name, rest in unused.items() if rest}


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {
        "." + ".".join(path.relative_to(UTILS).with_suffix("").parts): set(filter(lambda n: n[0] == ".", imports(path)))
        for path in files()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"circle: {' -> '.join((*way[way.index(name) :], name))}"
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("path", parametrized([path for path in files() if package(path) in PURE]))
def test_a_pure_module_imports_nothing_that_does_input_or_output(path: Path) -> None:
    for name in imports(path):
        if not name.startswith("."):
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names, f"{name} is not in the standard library"
            assert top not in IO, f"{name} does I/O, waits, or gives another answer each time"
