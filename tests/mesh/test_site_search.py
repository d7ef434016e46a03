# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The web site in a real browser: its search finds the guides, and the page of a result has the words.

The guides are built as for the site; of the reference there are empty pages. The tier lint builds all of it and checks
every link. This file needs no cluster: it is here because the browser is.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import re
import subprocess
import sys
import threading
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from support.browser import OPTIONS, program
from support.collection import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.mesh

MILLISECONDS_OF_PAGE_TIME = 20000
RESULT = re.compile(r'<li[^>]*><a href="([^"]+)" data-score')


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: t.Any) -> None:
        return


def build(work: Path) -> Path:
    """Build the site without the reference, and return its folder."""
    spec = importlib.util.spec_from_file_location("site_builder", ROOT / "docs" / "site.py")
    assert spec
    assert spec.loader
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    source = work / "source"
    (source / "reference").mkdir(parents=True)
    builder.copy_pages(source)
    for module in (ROOT / "plugins" / "modules").glob("canary_*.py"):
        (source / "reference" / f"{module.stem}_module.rst").write_text(f"{module.stem}\n{'=' * 40}\n")
    command = [str(Path(sys.executable).with_name("sphinx-build")), "-q", "-b", "html", str(source), str(work / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    return work / "html"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the site on loopback and yield its URL."""
    folder = build(tmp_path_factory.mktemp("site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def open_in_browser(url: str, folder: Path) -> str:
    """Return the page as the browser has it after its scripts have run."""
    own = (f"--user-data-dir={folder / 'profile'}", f"--virtual-time-budget={MILLISECONDS_OF_PAGE_TIME}", "--dump-dom")
    done = subprocess.run([program(), *OPTIONS, *own, url], capture_output=True, text=True, timeout=180, check=False)
    assert "</html>" in done.stdout, done.stderr[-2000:]
    return done.stdout


def test_search_finds_a_guide_whose_page_has_the_word(site: str, tmp_path: Path) -> None:
    page = open_in_browser(f"{site}/search.html?q=watchdog", tmp_path)
    results = RESULT.findall(page)
    assert "docs/rollout.html" in [result.partition("#")[0] for result in results], page[-3000:]
    for result in {result.partition("#")[0] for result in results}:
        with urllib.request.urlopen(urllib.parse.urljoin(f"{site}/search.html", result), timeout=60) as answer:
            assert "watchdog" in answer.read().decode().lower(), result


def test_search_for_a_word_that_no_page_has_finds_nothing(site: str, tmp_path: Path) -> None:
    page = open_in_browser(f"{site}/search.html?q=xylophone", tmp_path)
    assert RESULT.findall(page) == []
    assert "did not match any documents" in page


def test_the_form_of_each_page_leads_to_the_search(site: str, tmp_path: Path) -> None:
    page = open_in_browser(f"{site}/docs/release.html", tmp_path)
    action = re.search(r'<form class="search" action="([^"]+)"', page)
    assert action
    assert urllib.parse.urljoin(f"{site}/docs/release.html", action[1]) == f"{site}/search.html"
