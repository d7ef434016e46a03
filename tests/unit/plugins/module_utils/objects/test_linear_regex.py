# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expressions as RE2 understands them, by table, and those that would keep Python's engine busy for years.

Generated expressions are compared with Python's in tests/property/test_expressions.py.
"""

from __future__ import annotations

import time

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import linear_regex
from ansible_collections.meshops.canary.plugins.module_utils.objects.linear_regex import (
    Expression,
    InvalidExpression,
    Undecided,
)

LONG = 8192  # bytes that Envoy takes as headers are 60 KiB, most servers take 8


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("", "", True),
        (".*", "", True),
        ("a|ab", "ab", True),
        ("(a|ab)(c|bcd)", "abcd", True),
        (".", "\n", False),
        ("(?s).", "\n", True),
        ("a$", "a\n", False),  # Python's re takes it
        ("(?m)a$\nb", "a\nb", True),
        ("a{,2}", "aa", False),
        ("a{,2}", "a{,2}", True),
        ("a{2}", "aa", True),
        ("a{2,}", "a", False),
        ("a{0}", "", True),
        (r"\d+", "12", True),
        (r"\d", "\u0663", False),
        (r"\w", "\u00e9", False),
        (r"\s", "\v", False),
        (r"[\s]", " ", True),
        (r"\bfoo\b", "foo", True),
        (r"\Afoo\z", "foo", True),
        ("(?i)ABC", "abc", True),
        ("(?i:a)b", "AB", False),
        ("(?i)[^k]", "K", False),
        ("[[:alpha:]]+", "abc", True),
        ("[[:^alpha:]]", "1", True),
        ("[]a]+", "]a", True),
        ("[^]a]", "]", False),
        (r"[\d-z]+", "1-z", True),
        ("[^a]", "\n", True),
        (r"\x41\x{1F600}\101", "A\U0001f600A", True),
        (r"\.\-\/", ".-/", True),
        ("(?P<n>a)(?<m>b)", "ab", True),
        ("(?U)a+", "aa", True),
        (r"^(.*?;\s*)?canary=always(;.*)?$", "a=b; canary=always; c=d", True),
        (r"^(.*?;\s*)?canary=always(;.*)?$", "a=b; canary=never", False),
        ("(a*)*", "aaa", True),
        ("(|a)+", "aa", True),
    ],
)
def test_a_whole_value_is_matched_like_re2(pattern: str, text: str, fits: bool) -> None:
    assert Expression(pattern).fullmatch(text) is fits


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        ("reviews-(v[0-9]+)-", "x reviews-v2-abc", ("reviews-v2-", "v2")),
        ("(v[0-9]+)", "a v1 v2", ("v1", "v1")),
        (".*(v[0-9])", "a v1 v2", ("a v1 v2", "v2")),
        (".*?(v[0-9])", "a v1 v2", ("a v1", "v1")),
        ("(a)|(b)", "b", ("b", None, "b")),
        ("(a|ab)(c|bcd)?", "abcd", ("abcd", "a", "bcd")),
        ("x*", "aaa", ("",)),
        ("(a+)(a*)", "aaa", ("aaa", "aaa", "")),
        ("(a+?)(a*)", "aaa", ("aaa", "a", "aa")),
        ("(?m)^b$", "a\nb\nc", ("b",)),
        (r"\bb", "ab b", ("b",)),
        ("(a)*", "b", ("", None)),
        ("($)*", "", ("", "")),
        ("v3", "v1 v2", None),
        ("^b", "ab", None),
    ],
)
def test_the_first_match_is_found_with_its_groups(
    pattern: str, text: str, groups: tuple[str | None, ...] | None
) -> None:
    assert Expression(pattern).find_groups(text) == groups
    assert Expression(pattern).search(text) is (groups is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "(a", "a)", "[", "[a", "[a-", "[z-a]", "*", "+a", "a|*", "a**", "a{2}{3}", "a{1001}", "a{2,1}"),
        *(
            "\\",
            r"\1",
            r"\8",
            r"\Z",
            r"\h",
            r"\x4",
            r"\x{110000}",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?#a)",
            "(?>a)",
        ),
        *("(?x)a", "[[:foo:]]", r"[a-\d]", "\\\u00e9", "(?P=n)", "(?P<a b>c)"),
    ],
)
def test_what_re2_refuses_is_invalid(pattern: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"\pL", r"\P{Greek}", r"\C", r"\Qa\E", r"\_", "(?i)\u00e9", "(?i)[a-\u00ff]", "(" * 500 + ")" * 500),
        *("((a{100}){100}){100}", "(?:(?:){1000}){1000}", "(?P<n>a)(?P<n>b)"),
    ],
)
def test_what_is_not_known_here_is_not_decided(pattern: str) -> None:
    with pytest.raises(Undecided):
        Expression(pattern)


@pytest.mark.parametrize(("pattern", "text"), [("(?i)a[^b]", "a\u00e9"), (r"\B", "\u00e9")])
def test_neither_is_a_text_of_which_re2_sees_more(pattern: str, text: str) -> None:
    with pytest.raises(Undecided):
        Expression(pattern).search(text)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("(a+)+b", "a" * LONG, False),
        ("(a|a)*b", "a" * LONG, False),
        ("(a|aa)+$", "a" * LONG + "b", False),
        ("(.*a){30}", "a" * LONG, True),
        (".*.*.*.*x", "y" * LONG, False),
        (r"([\w.-]+)+@", "a." * LONG, False),
        ("(a?){50}a{50}", "a" * 50, True),
        ("(x+x+)+y", "x" * LONG, False),
        (r"^(.*?;\s*)?canary=always(;.*)?$", "x=y; " * LONG, False),
    ],
)
def test_no_expression_takes_longer_than_the_text_is_long(pattern: str, text: str, fits: bool) -> None:
    began = time.process_time()
    expression = Expression(pattern)
    assert expression.fullmatch(text) is fits
    expression.search(text)
    expression.find_groups(text)
    assert time.process_time() - began < 15


def test_what_takes_too_long_nevertheless_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_regex, "MAX_WORK", 100_000)
    with pytest.raises(Undecided, match="it takes too long"):
        Expression("(?:a?){1000}" * 4 + "b").fullmatch("a" * LONG)
