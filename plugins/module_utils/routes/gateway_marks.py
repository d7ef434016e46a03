# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By what the rules we inserted into an HTTPRoute are known again. Pure."""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter

from .gateway_matches import complete
from .patch import canonical

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import State

Rule = dict[str, t.Any]


def marks(rules: Sequence[tuple[Rule, str | None]]) -> dict[str, list[str]]:
    """Return cohort -> the marks of its rules, in order, for the book.

    rules: all of the object, each with the cohort it was inserted for. A mark is the rule's fingerprint and, where no
    other rule has the same matches, `/` and these.
    """
    alike = Counter(_matches_mark(rule) for rule, _cohort in rules)
    found: dict[str, list[str]] = {}
    for rule, cohort in rules:
        if cohort is not None:
            match = _matches_mark(rule)
            found.setdefault(cohort, []).append(fingerprint(rule) + (f"/{match}" if alike[match] == 1 else ""))
    return found


def with_cohorts(rules: Sequence[Rule], book: State) -> list[tuple[Rule, str | None]]:
    """Return each rule with the cohort it was inserted for.

    Each mark stands for one rule; a rule of somebody's that looks the same comes after ours. A rule of ours in which
    somebody changed the weights is known by its matches, where no other rule had them.
    """
    known = [
        (name, *mark.partition("/")[::2])
        for wanted in book["services"].values()
        for name, cohort in wanted.get("cohorts", {}).items()
        for mark in cohort.get("rules", ())
    ]
    found: dict[int, str] = {}
    for known_by, place in ((fingerprint, 1), (_matches_mark, 2)):
        seen = [known_by(rule) for rule in rules]
        for mark in list(known):
            there = [index for index, one in enumerate(seen) if one == mark[place] and index not in found]
            if there and (place == 1 or len(there) == 1):
                found[there[0]] = mark[0]
                known.remove(mark)
    return [(rule, found.get(index)) for index, rule in enumerate(rules)]


def fingerprint(rule: Rule) -> str:
    """Return what an inserted rule is known by: whom it selects and where it sends them.

    A cohort's matches alone can be those of the rule it goes with, when that lies within the cohort.
    """
    shares = [(ref.get("name"), ref.get("weight", 1)) for ref in rule.get("backendRefs") or ()]
    return _digest([_complete(rule), shares])


def _matches_mark(rule: Rule) -> str:
    return _digest(_complete(rule))


def _complete(rule: Rule) -> list[Rule]:
    return [complete(match) for match in rule.get("matches") or ()]


def _digest(value: t.Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:10]
