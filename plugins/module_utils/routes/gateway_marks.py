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

    rules: all of the object, each with the cohort it was inserted for. A mark is the rule's fingerprint; where rules
    before it have the same, `#` and their number; where no other rule has the same matches, `/` and these.
    """
    alike = Counter(_matches_mark(rule) for rule, _cohort in rules)
    before: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for rule, cohort in rules:
        looks, match = fingerprint(rule), _matches_mark(rule)
        if cohort is not None:
            number = f"#{before[looks]}" if before[looks] else ""
            found.setdefault(cohort, []).append(f"{looks}{number}" + (f"/{match}" if alike[match] == 1 else ""))
        before[looks] += 1
    return found


def with_cohorts(rules: Sequence[Rule], book: State) -> list[tuple[Rule, str | None]]:
    """Return each rule with the cohort it was inserted for.

    Each mark stands for one rule; of rules that look the same it is the one at its number. A rule of ours in which
    somebody changed the weights is known by its matches, where no other rule had them.
    """
    known = [
        (name, *mark.partition("/")[::2])
        for wanted in book["services"].values()
        for name, cohort in wanted.get("cohorts", {}).items()
        for mark in cohort.get("rules", ())
    ]
    found: dict[int, str] = {}
    prints = [fingerprint(rule) for rule in rules]
    for one in list(known):
        looks, _hash, number = one[1].partition("#")
        there = [index for index, seen in enumerate(prints) if seen == looks]
        at_its_number = [there[int(number)]] if number and int(number) < len(there) else []
        free = [index for index in (*at_its_number, *there) if index not in found]
        if free:
            found[free[0]] = one[0]
            known.remove(one)
    matches = [_matches_mark(rule) for rule in rules]
    for name, _print, match in known:
        there = [index for index, seen in enumerate(matches) if seen == match and index not in found]
        if len(there) == 1:
            found[there[0]] = name
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
