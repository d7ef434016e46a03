# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever an expression and a text are, the result is Python's where both speak the same syntax, and it comes soon."""

from __future__ import annotations

import re
import time

from ansible_collections.meshops.canary.plugins.module_utils.objects.linear_regex import (
    Expression,
    InvalidExpression,
    Undecided,
)
from hypothesis import event, given
from hypothesis import strategies as st

ATOMS = st.sampled_from(
    ["a", "b", "1", " ", ".", r"\d", r"\w", r"\D", r"\W", r"\b", "^", r"\A", "[ab]", "[^ab]", "[a-c1]", r"\.", "(?i:a)"]
)
QUANTIFIERS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}"])


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, QUANTIFIERS).map(lambda two: f"(?:{two[0]}){two[1]}"),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map(lambda both: f"(?:{both})"),
        inner.map(lambda one: f"({one})"),
    )


PATTERNS = st.recursive(ATOMS, _joined, max_leaves=8)
TEXTS = st.text("abcAB1 .\n", max_size=10)


@given(PATTERNS, TEXTS)
def test_common_syntax_has_common_results(pattern: str, text: str) -> None:
    ours, theirs = Expression(pattern), re.compile(pattern, re.ASCII)
    assert ours.fullmatch(text) == bool(theirs.fullmatch(text))
    found = theirs.search(text)
    assert ours.search(text) == bool(found)
    groups = ours.find_groups(text)
    assert (groups or (None,))[0] == (found[0] if found else None)
    event("found" if found else "not found")


@given(
    st.text("ab(|)*+?{}[]^$\\.-:=!<>P1,iq\u00e9", max_size=30) | st.text(max_size=10),
    st.text("ab\u00e9\n", max_size=200),
)
def test_any_text_is_an_expression_or_refused(pattern: str, text: str) -> None:
    began = time.process_time()
    try:
        expression = Expression(pattern)
        assert expression.search(text) == (expression.find_groups(text) is not None)
        if expression.fullmatch(text):
            assert expression.search(text)
    except (InvalidExpression, Undecided) as refusal:
        event(type(refusal).__name__)
    assert time.process_time() - began < 15
