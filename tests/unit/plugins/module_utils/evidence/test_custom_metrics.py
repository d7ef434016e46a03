# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP checks against a server that answers well and badly."""

from __future__ import annotations

import http.server
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis_options, custom_metrics
from ansible_collections.meshops.canary.plugins.module_utils.evidence.notes import Notes
from ansible_collections.meshops.canary.plugins.module_utils.objects import linear_regex
from support.answering import Answers, served

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """What a check needs of a source: a place for notes."""

    name = "proxies"

    def __init__(self) -> None:
        self.notes = Notes()


class Page(Answers):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.answer(b'{"version": "v2"}', int(self.path[1:]))


@pytest.fixture
def url() -> Iterator[str]:
    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)) as address:
        yield address


def check(url: str, **options: t.Any) -> tuple[custom_metrics.ValueQuery, list[str]]:
    given = {name: spec.get("default") for name, spec in analysis_options.METRIC_OPTIONS.items()}
    source = Source()
    metric = {**given, "name": "page", "kind": "http", "url": url, **options}
    analysis_options.metric_specs([metric])
    return custom_metrics.value_queries([metric], t.cast("t.Any", source), "v2", "v1")["page"], source.notes


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
def test_status_and_body_decide_a_check(url: str, path: str, options: dict[str, t.Any], good: float) -> None:
    query_value, notes = check(f"{url}/{path}", **options)
    assert query_value(None) == (good, None)
    assert query_value(None) == (good, None)
    assert len(notes) == (0 if good else 1), "what was answered is told once"


def test_headers_of_a_check_may_be_numbers_and_are_refused_by_their_option(url: str) -> None:
    query_value, notes = check(f"{url}/200", headers={1: 2})
    assert (query_value(None), notes) == ((1.0, None), [])
    with pytest.raises(InvalidInput, match=r"metrics\[page\]\.headers: the header X must have one text"):
        check(f"{url}/200", headers={"X": {"a": 1}})


def test_no_connection_is_a_failure_and_the_past_has_no_number() -> None:
    query_value, notes = check("http://127.0.0.1:9/", timeout=0.5)
    assert query_value(7.0) == (None, None)
    assert query_value(None) == (0.0, None)
    assert notes[0].startswith("page: http://127.0.0.1:9/ did not answer: ")


@pytest.mark.parametrize("pattern", ["(?=v2)", r"v2\Z", "(", r"\pL"])
def test_an_expression_that_cannot_be_used_is_refused_by_its_option(url: str, pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"metrics\[page\]\.pattern: .* in the syntax of RE2"):
        check(f"{url}/200", pattern=pattern)


def test_an_answer_cannot_keep_the_analysis_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_metrics.probes, "http_probe", lambda *_given: lambda: "200\n\n" + "a" * 100_000)
    query_value, notes = check("http://page", pattern="(a+)+b")
    assert query_value(None) == (0.0, None)
    monkeypatch.setattr(linear_regex, "MAX_WORK", 1000)
    query_value, notes = check("http://page", pattern="(?:a?){1000}b")
    assert query_value(None) == (0.0, None)
    assert "cannot be decided" in notes[0]
