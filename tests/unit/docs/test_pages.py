# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every page: relative links and their anchors exist, and lines are short."""

from __future__ import annotations

import functools
import re
import subprocess
import typing as t
from collections import Counter

import pytest
from support.collection import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

WIDTH = 120
UNWRAPPED = {"CHANGELOG.md", "CONTRIBUTING.md", "lab/README.md", "lab/mesh.md"}
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = (name for name in listed if not name.startswith("docs/docsite/"))  # links of the site: test_site.py
    return [path for name in names if (path := ROOT / name).is_file()]


@functools.cache
def prose(page: Path) -> tuple[tuple[int, str], ...]:
    """Return the numbered lines of a page that are not code."""
    found, in_code = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            found.append((number, line))
    return tuple(found)


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors GitHub gives to the headings of a page."""
    seen: Counter[str] = Counter()
    found = []
    for _number, line in prose(page):
        if heading := re.match(r"#{1,6} (.*)", line):
            text = LINK.sub(lambda link: link[0][1:].partition("]")[0], heading[1])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return frozenset(found)


def broken(page: Path) -> t.Iterator[str]:
    for number, line in prose(page):
        for target in LINK.findall(line):
            path, _hash, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            linked = (page.parent / path).resolve() if path else page
            if not linked.exists():
                yield f"{page.name}:{number}: {target}: no such file"
            elif anchor and anchor not in anchors(linked):
                yield f"{page.name}:{number}: {target}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_their_anchors_exist(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The lock\n[a](#the-lock) [b](page.md#the-key) [c](none.md) `x`\n```\n[d](none.md)\n```\n")
    assert list(broken(page)) == [
        "page.md:2: page.md#the-key: no such heading",
        "page.md:2: none.md: no such file",
    ]


@pytest.mark.parametrize("name", sorted({str(page.relative_to(ROOT)) for page in pages()} - UNWRAPPED))
def test_lines_of_prose_are_short(name: str) -> None:
    """Tables and code cannot be wrapped."""
    long = [f"{name}:{n}" for n, line in prose(ROOT / name) if len(line) > WIDTH and not line.startswith("|")]
    assert long == []
