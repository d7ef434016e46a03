# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP checks against a server that answers well and badly."""

from __future__ import annotations

import http.server
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import asked, numbers
from support.answering import Answers, served

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """What a check needs of a source: a place for notes."""

    name = "proxies"

    def __init__(self) -> None:
        self.notes: list[str] = []


class Page(Answers):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.answer(b'{"version": "v2"}', int(self.path[1:]))


@pytest.fixture
def url() -> Iterator[str]:
    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)) as address:
        yield address


def check(url: str, **options: t.Any) -> tuple[numbers.Ask, list[str]]:
    given = {name: spec.get("default") for name, spec in asked.OPTIONS.items()}
    source = Source()
    metric = {**given, "name": "page", "kind": "http", "url": url, **options}
    asked.questions([metric])
    return numbers.askers([metric], t.cast("t.Any", source), "v2", "v1")["page"], source.notes


@pytest.mark.parametrize(
    ("path", "options", "good"),
    [
        ("200", {}, 1.0),
        ("302", {}, 1.0),
        ("404", {}, 0.0),
        ("503", {}, 0.0),
        ("404", {"status": [404]}, 1.0),
        ("200", {"status": [204]}, 0.0),
        ("200", {"pattern": '"version": "v2"'}, 1.0),
        ("200", {"pattern": "v3"}, 0.0),
    ],
)
def test_status_and_body_say_what_is_good(url: str, path: str, options: dict[str, t.Any], good: float) -> None:
    ask, notes = check(f"{url}/{path}", **options)
    assert ask(None) == (good, None)
    assert ask(None) == (good, None)
    assert len(notes) == (0 if good else 1), "what was answered is told once"


def test_nobody_there_is_a_failure_and_the_past_is_nothing() -> None:
    ask, notes = check("http://127.0.0.1:9/", timeout=0.5)
    assert ask(7.0) == (None, None)
    assert ask(None) == (0.0, None)
    assert notes[0].startswith("page: http://127.0.0.1:9/ gave no answer: ")
