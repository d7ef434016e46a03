# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fingerprints, by which the rules we inserted into a route of the Gateway API are recognized. Pure."""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter

from ..objects.patch import canonical_json

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.managed_state import State
    from .route_matches import RouteMatches

Rule = dict[str, t.Any]


def cohort_fingerprints(rules: Sequence[tuple[Rule, str | None]], kind: RouteMatches) -> dict[str, list[str]]:
    """Return cohort -> the identifiers of its rules, in order, for the managed state.

    rules: all of the object, each with the cohort it was inserted for. An identifier is the rule's fingerprint; where
    earlier rules have the same, `#` and their number; where no other rule has the same matches, `/` and their digest.
    """
    with_matches = Counter(_matches_fingerprint(rule, kind) for rule, _cohort in rules)
    before: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for rule, cohort in rules:
        digest, match = fingerprint(rule, kind), _matches_fingerprint(rule, kind)
        if cohort is not None:
            number = f"#{before[digest]}" if before[digest] else ""
            found.setdefault(cohort, []).append(f"{digest}{number}" + (f"/{match}" if with_matches[match] == 1 else ""))
        before[digest] += 1
    return found


def match_cohorts(rules: Sequence[Rule], state: State, kind: RouteMatches) -> list[tuple[Rule, str | None]]:
    """Return each rule with the cohort it was inserted for.

    Each identifier stands for one rule; of equal rules it is the one at its number. A rule of ours in which somebody
    changed the weights is recognized by its matches, if no other rule has them.
    """
    known = [
        (name, *identifier.partition("/")[::2])
        for service_state in state["services"].values()
        for name, cohort in service_state.get("cohorts", {}).items()
        for identifier in cohort.get("rules", ())
    ]
    found: dict[int, str] = {}
    digests = [fingerprint(rule, kind) for rule in rules]
    for one in list(known):
        digest, _hash, number = one[1].partition("#")
        positions = [index for index, other in enumerate(digests) if other == digest]
        at_its_number = [positions[int(number)]] if number and int(number) < len(positions) else []
        free = [index for index in (*at_its_number, *positions) if index not in found]
        if free:
            found[free[0]] = one[0]
            known.remove(one)
    matches = [_matches_fingerprint(rule, kind) for rule in rules]
    for name, _fingerprint, match in known:
        positions = [index for index, other in enumerate(matches) if other == match and index not in found]
        if len(positions) == 1:
            found[positions[0]] = name
    return [(rule, found.get(index)) for index, rule in enumerate(rules)]


def fingerprint(rule: Rule, kind: RouteMatches) -> str:
    """Return a digest of the requests that an inserted rule selects and of where it sends them.

    The matches alone are not enough: they equal those of the base rule if its requests are all in the cohort.
    """
    shares = [(ref.get("name"), ref.get("weight", 1)) for ref in rule.get("backendRefs") or ()]
    return _digest([_complete(rule, kind), shares])


def _matches_fingerprint(rule: Rule, kind: RouteMatches) -> str:
    return _digest(_complete(rule, kind))


def _complete(rule: Rule, kind: RouteMatches) -> list[Rule]:
    return [kind.with_defaults(match) for match in rule.get("matches") or ()]


def _digest(value: t.Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:10]
