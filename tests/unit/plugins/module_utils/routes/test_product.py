# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort's match within a route's: what one block can say, what nobody fulfils, what cannot be answered."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.routes.product import product

Block = dict[str, t.Any]


def both(route: Block, cohort: Block) -> list[Block]:
    return product([route], [cohort], rewritten=False, where="here")


@pytest.mark.parametrize("regex", ["[[:alpha:]]+", r"\pL+", r"\C+", r"a\z", r"\Qa\E", "(?U)a+"])
def test_what_only_re2_knows_is_not_judged_here(regex: str) -> None:
    with pytest.raises(Refused, match="not known here"):
        both({"headers": {"x-a": {"regex": regex}}}, {"headers": {"x-a": {"exact": "a"}}})


@pytest.mark.parametrize(
    ("regex", "text", "fits"), [("[a-z]+", "abc", True), (r"\d", "٣", False), ("(?i)ABC", "abc", True)]
)
def test_what_both_know_is_judged_as_re2_does(regex: str, text: str, fits: bool) -> None:
    blocks = both({"headers": {"x-a": {"regex": regex}}}, {"headers": {"x-a": {"exact": text}}})
    assert blocks == ([{"headers": {"x-a": {"exact": text}}}] if fits else [])


def test_names_of_headers_have_no_case_and_those_of_queries_have() -> None:
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
def test_a_header_cannot_have_the_value_the_route_excludes(wanted: Block, excluded: Block, possible: bool) -> None:
    assert bool(both({"withoutHeaders": {"X-A": excluded}}, {"headers": {"x-a": wanted}})) is possible
