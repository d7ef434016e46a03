# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version an answer names, and options that no probe can be sent with."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.evidence import probes
from ansible_collections.meshops.canary.plugins.module_utils.objects import linear_regex


class Pods:
    """Prints one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def execute(self, *_given: t.Any, **_named: t.Any) -> str:
        return self.text


def sent(text: str, number: int = 2, **options: t.Any) -> probes.Answers:
    given = {name: option.get("default") for name, option in probes.OPTIONS.items()}
    return probes.send(
        t.cast("t.Any", Pods(text)), "shop", {**given, "pod": "web", "command": ["x"], **options}, number
    )


@pytest.mark.parametrize(
    ("text", "pattern", "version"),
    [
        ('{"podname": "reviews-v2-7c9-x"}', '"podname": ?"reviews-(v[0-9]+)-', "v2"),
        ("v1 v2", "(v[0-9])", "v1"),
        ("v1 v2", ".*(v[0-9])", "v2"),
        ("a shop-1", "(?P<name>shop[a-z0-9-]+)", "shop-1"),
    ],
)
def test_the_first_group_is_the_version(text: str, pattern: str, version: str) -> None:
    assert dict(sent(text, pattern=pattern).counts) == {version: 2}


@pytest.mark.parametrize("pattern", ["reviews-(v[0-9]+)-", "(v9)|web"])
def test_an_answer_without_a_version_is_a_failed_probe(pattern: str) -> None:
    answers = sent("web", pattern=pattern)
    assert (dict(answers.counts), answers.failed) == ({}, 2)
    assert "'web'" in answers.examples[0]


def test_an_answer_cannot_keep_the_task_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = sent("a" * 100_000, pattern="((?:a+)+)b")
    assert answers.failed == 2
    monkeypatch.setattr(linear_regex, "MAX_WORK", 1000)
    answers = sent("a" * 100_000, 1, pattern="((?:a?){1000}b)")
    assert "it cannot be decided whether" in answers.examples[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pattern": "v[0-9]"}, "has no group for the version"),
        ({"pattern": "("}, "is not a regular expression that can be used here"),
        ({"pattern": "(?=v)(v)"}, "syntax of RE2"),
        ({"pattern": "(v)", "timeout": 0.0}, r"probes\.timeout must be above 0"),
        ({"pattern": "(v)", "timeout": float("nan")}, r"probes\.timeout must be above 0"),
        ({"pattern": "(v)", "url": "http://x", "headers": {"X": ["a"]}}, r"probes\.headers: the header X"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        sent("v", **options)
