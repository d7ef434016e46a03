# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort's match within a route's: what one block can say, what nobody fulfils, what cannot be answered."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.match_intersection import intersect_matches

Block = dict[str, t.Any]


def both(route: Block, cohort: Block) -> list[Block]:
    return intersect_matches([route], [cohort], rewritten=False, where="here")


@pytest.mark.parametrize("regex", [r"\pL+", r"\C+", r"\Qa\E", "((a{100}){100}){100}", "(", "(?=a)a"])
def test_what_cannot_be_evaluated_is_said(regex: str) -> None:
    with pytest.raises(Refused, match="it cannot be decided whether"):
        both({"headers": {"x-a": {"regex": regex}}}, {"headers": {"x-a": {"exact": "a"}}})


@pytest.mark.parametrize("regex", ["(a+)+b", "(a|aa)+$", "(.*a){20}b", r"([\w.-]+)+@"])
@pytest.mark.parametrize("field", ["headers", "queryParams", "withoutHeaders"])
def test_an_expression_of_a_route_cannot_keep_the_task_busy(regex: str, field: str) -> None:
    text = "a" * 4000 + "c"
    blocks = both({field: {"x-a": {"regex": regex}}}, {"headers": {"x-a": {"exact": text}}})
    assert bool(blocks) is (field != "headers")


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(Refused) as caught:
        both({"headers": {"x-a": {"regex": r"\pL+"}}}, {"headers": {"x-a": {"exact": "a" * 4000}}})
    assert len(caught.value.msg) < 300
    assert r"it uses \p" in caught.value.msg


@pytest.mark.parametrize(
    ("regex", "text", "fits"),
    [
        ("[a-z]+", "abc", True),
        (r"\d", "٣", False),
        ("(?i)ABC", "abc", True),
        ("[[:alpha:]]+", "a", True),
        (r"a\z", "a", True),
        ("(?U)a+", "a", True),
        ("a", "ab", False),  # Istio's expressions match the whole value
        ("a$", "a\n", False),
    ],
)
def test_expressions_are_evaluated_like_re2(regex: str, text: str, fits: bool) -> None:
    blocks = both({"headers": {"x-a": {"regex": regex}}}, {"headers": {"x-a": {"exact": text}}})
    assert blocks == ([{"headers": {"x-a": {"exact": text}}}] if fits else [])


def test_header_names_ignore_case_and_query_names_do_not() -> None:
    assert both({"headers": {"X-A": {}}}, {"headers": {"x-a": {"exact": "1"}}}) == [
        {"headers": {"X-A": {"exact": "1"}}}
    ]
    assert both({"queryParams": {"Q": {"exact": "1"}}}, {"queryParams": {"q": {"exact": "2"}}}) == [
        {"queryParams": {"Q": {"exact": "1"}, "q": {"exact": "2"}}}
    ]


@pytest.mark.parametrize(
    ("wanted", "excluded", "possible"),
    [
        ({"exact": "1"}, {"exact": "1"}, False),
        ({"exact": "1"}, {}, False),
        ({"exact": "12"}, {"prefix": "1"}, False),
        ({"exact": "1"}, {"regex": "[0-9]"}, False),
        ({"exact": "1"}, {"exact": "2"}, True),
        ({"prefix": "12"}, {"prefix": "1"}, False),
        ({"prefix": "1"}, {"prefix": "12"}, True),
        ({"prefix": "1"}, {"exact": "1"}, True),
        ({"regex": "a"}, {"regex": "a"}, False),
        ({"exact": "a"}, {"regex": r"\pL"}, True),
        ({}, {"exact": "1"}, True),
    ],
)
def test_a_header_with_an_excluded_value_matches_nothing(wanted: Block, excluded: Block, possible: bool) -> None:
    assert bool(both({"withoutHeaders": {"X-A": excluded}}, {"headers": {"x-a": wanted}})) is possible
