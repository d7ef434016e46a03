# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the web site: the reference by antsibull-docs and the guides by MyST, in one, with search. Warnings are errors.

So is a link of the built pages whose target is missing.

Usage: docs/site.py [FOLDER], out/docs by default. No network is needed.
"""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPOSITORY = "https://github.com/meshops/canary/blob/main/"
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
PAGES = ("*.md", "docs/*.md", "roles/*/README.md", "lab/*.md", "extensions/*/README.md")
"""What becomes a page; the start page is docs/docsite/index.md."""


def main(arguments: list[str]) -> int:
    """Build the site into the folder; return the exit status."""
    target = Path(arguments[0]).resolve() if arguments else ROOT / "out" / "docs"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = work / "source"
        source.mkdir(mode=0o755)
        copy_pages(source)
        if not reference(work, source / "reference"):
            return 1
        command = [
            str(BIN / "sphinx-build"),
            "-M",
            "html",
            str(source),
            str(work / "build"),
            "-W",
            "--keep-going",
            "-q",
        ]
        if subprocess.run(command, check=False).returncode:
            print("The web site was not built: its warnings are above.", file=sys.stderr)
            return 1
        if broken := broken_links(work / "build" / "html"):
            print("The web site was not built: links lead nowhere:", *broken, sep="\n  ", file=sys.stderr)
            return 1
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(work / "build" / "html", target)
    print(f"The web site is in {target}/index.html")
    return 0


class Page(html.parser.HTMLParser):
    """What a built page links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the attributes of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Return the links of the pages below the folder to a file or an anchor that is not there, each with its page."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            linked = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            anchor = urllib.parse.unquote(url.fragment)
            known = linked not in pages or not anchor or anchor in pages[linked].anchors
            if not linked.is_file() or not known:
                found.append(f"{path.relative_to(site.resolve())}: {link}")
    return found


def copy_pages(source: Path) -> None:
    """Copy the pages, with links that work on the site, their pictures, and the start page."""
    for page in pages():
        copied = source / page.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(on_the_site(page), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "images", source / "docs" / "images")
    for name in ("conf.py", "index.md", "reference.md"):
        shutil.copy(ROOT / "docs" / "docsite" / name, source / name)


def pages() -> list[Path]:
    """Return the Markdown files that become pages."""
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern))


def on_the_site(page: Path) -> str:
    """Return the text of a page in which links to what is no page of the site go to the repository or the reference."""
    known = set(pages())

    def replace(found: re.Match[str]) -> str:
        path, _hash, anchor = found[0].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return found[0]
        linked = (page.parent / path).resolve()
        if linked in known or linked.suffix in (".png", ".svg"):
            return found[0]
        return reference_page(linked, page) or REPOSITORY + str(linked.relative_to(ROOT)) + (
            f"#{anchor}" if anchor else ""
        )

    return LINK.sub(replace, page.read_text(encoding="utf-8"))


def reference_page(linked: Path, page: Path) -> str | None:
    """Return the link to the page of a module in the reference; None for any other file."""
    if linked.parent != ROOT / "plugins" / "modules":
        return None
    up = "../" * len(page.relative_to(ROOT).parent.parts)
    return f"{up}reference/{linked.stem}_module.rst"


def reference(work: Path, folder: Path) -> bool:
    """Make the reference of modules, plugins and roles; return whether it could be made."""
    tree = work / "tree" / "ansible_collections" / "meshops"
    tree.mkdir(parents=True)
    (tree / "canary").symlink_to(ROOT)
    folder.mkdir(mode=0o755)
    environment: dict[str, t.Any] = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(work / "tree")}
    environment["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    options = ("--use-current", "--squash-hierarchy", "--fail-on-error", "--cleanup", "everything")
    command = [str(BIN / "antsibull-docs"), "collection", *options, "--dest-dir", str(folder), "meshops.canary"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
