# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A match as text."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import matches

if t.TYPE_CHECKING:
    from support import route_strategies as rs


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "every request"),
        ([{}], "every request"),
        ([{"uri": {"exact": "/a"}}], "path is /a"),
        ([{"uri": {"regex": "/a.*"}, "method": {"exact": "GET"}}], "path matches /a.* and method is GET"),
        ([{"headers": {"a": {"prefix": "x"}, "b": {}}}], "header a begins with x and header b is present"),
        ([{"withoutHeaders": {"a": {}}}], "header a is absent"),
        ([{"withoutHeaders": {"a": {"exact": "1"}}}], "header a is not 1"),
        ([{"queryParams": {"q": {"exact": "1"}}}, {"port": 80}], "query parameter q is 1, or port 80"),
        ([{"sourceLabels": {"app": "a"}, "sourceNamespace": "n"}], "caller's label app is a and caller's namespace n"),
        ([{"gateways": ["mesh", "x"]}], "through mesh or x"),
        ([{"sniHosts": ["a.b"], "destinationSubnets": ["10.0.0.0/8"]}], "SNI a.b and address 10.0.0.0/8"),
        ([{"authority": {"exact": "x"}, "scheme": {"exact": "https"}}], "scheme is https and authority is x"),
    ],
)
def test_match_text(blocks: list[rs.Json], words: str) -> None:
    assert matches.match_text(blocks) == words


def test_conditions_are_told_in_one_order() -> None:
    """The API server returns mappings in any order, and a diff must not show that."""
    one = {"headers": {"b": {"exact": "2"}, "a": {"exact": "1"}}, "sourceLabels": {"y": "2", "x": "1"}}
    other = {"headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}, "sourceLabels": {"x": "1", "y": "2"}}
    assert matches.match_text([one]) == matches.match_text([other])
    assert matches.match_text([one]).startswith("header a is 1 and header b is 2")


def test_names_that_are_numbers_are_names() -> None:
    match = {"headers": {1: "a"}, "query": {2: "b"}, "source_labels": {3: 4}}
    assert matches.to_istio_blocks(match) == [
        {"headers": {"1": {"exact": "a"}}, "queryParams": {"2": {"exact": "b"}}, "sourceLabels": {"3": "4"}}
    ]
    assert "5=c" in str(matches.to_istio_blocks({"cookies": {5: "c"}}))


@pytest.mark.parametrize("field", ["headers", "cookies", "query", "source_labels"])
@pytest.mark.parametrize("value", [["a"], "a", 7])
def test_conditions_without_names_are_refused(field: str, value: t.Any) -> None:
    with pytest.raises(InvalidInput, match=f"{field} must be a mapping"):
        matches.to_istio_blocks({field: value})


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("(", r"a \( has no \)"),
        ("a{99999999999}", ""),
        ("a{1001}", "no number of repetitions"),
        ("a++", "follows another repetition"),
        (r"\Z", "RE2 has no"),
        ("(?x)a", "RE2 has no"),
        ("(?=a)", "look-around"),
    ],
)
def test_an_expression_that_envoy_refuses_is_refused(regex: str, words: str) -> None:
    wanted = {"headers": {"x": {"regex": regex}}}
    if not words:  # too many digits are no repetition
        assert matches.to_istio_blocks(wanted) == [wanted]
        return
    with pytest.raises(InvalidInput, match=words):
        matches.to_istio_blocks(wanted)


@pytest.mark.parametrize(
    "regex", [r"\pL+", "(" * 500 + ")" * 500, "((a{1000}){1000}){1000}", r"\Qa.b\E", "(?i)a|(?s).*"]
)
def test_an_expression_that_is_not_known_here_is_left_to_the_api_server(regex: str) -> None:
    wanted = {"headers": {"x": {"regex": regex}}}
    assert matches.to_istio_blocks(wanted) == [wanted]
