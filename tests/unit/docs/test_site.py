# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The web site: what its pages link to, and that its start page names every guide. The tier lint builds it."""

from __future__ import annotations

import importlib.util
import re
import typing as t

from support.collection import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

START = (ROOT / "docs" / "docsite" / "index.md").read_text(encoding="utf-8")


def builder() -> t.Any:
    spec = importlib.util.spec_from_file_location("site_builder", ROOT / "docs" / "site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_go_to_pages_of_the_site_or_to_the_repository() -> None:
    site = builder()
    pages, wrong = set(site.pages()), []
    for page in pages:
        for link in site.LINK.findall(site.on_the_site(page)):
            path = link.partition("#")[0]
            if not path or re.match(r"[a-z]+:", path):
                continue
            linked = (page.parent / path).resolve()
            if linked not in pages and linked.suffix != ".png" and "reference/" not in path:
                wrong.append(f"{page.name}: {link}")
    assert wrong == []


def test_a_link_to_a_module_goes_to_its_reference_and_one_to_code_to_the_repository() -> None:
    text = builder().on_the_site(ROOT / "docs" / "rollout.md")
    assert "(../reference/canary_rollout_module.rst)" in text
    text = builder().on_the_site(ROOT / "docs" / "architecture.md")
    assert "(https://github.com/meshops/canary/blob/main/docs/packages.yml)" in text


def test_the_start_page_names_every_guide() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in START


def test_the_start_page_names_the_world_somebody_comes_from() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+)", START))
    assert {"docs/first-rollout.md", "docs/migration.md", "docs/automation.md", "docs/ways.md"} <= linked
    assert all((ROOT / path).is_file() or path == "reference.md" for path in linked)


def test_a_link_of_a_built_page_to_a_missing_file_or_anchor_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    links = ("b.html#here", "b.html#gone", "c.html", "https://example.com/x", "#top", "docs/d%20e.html")
    text = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "a.html").write_text(f'<p id="top">{text}</p><img src="none.png">', encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="here">x</p>', encoding="utf-8")
    (tmp_path / "docs" / "d e.html").write_text('<a href="../a.html#top">x</a>', encoding="utf-8")
    assert builder().broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: none.png"]
