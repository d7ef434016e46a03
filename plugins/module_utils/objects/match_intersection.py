# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The intersection of a cohort's match with the match of the route it is inserted before. Pure.

A block is a conjunction, a list of blocks a disjunction, so the pairwise intersections of two lists are their
conjunction.
"""

from __future__ import annotations

import copy
import typing as t

from ..errors import Refused
from ..findings import Finding
from . import linear_regex

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .matches import Block

_MAPPINGS: t.Final = ("headers", "queryParams")
_SHOWN: t.Final = 60
"""Characters of a value that a message shows."""


class Inexpressible(Exception):
    """Both sides have a condition on the same field, and no single condition is equivalent to both."""


class NoRequestMatches(Exception):
    """No request matches both."""


def intersect_matches(base: Sequence[Block], cohort: Sequence[Block], *, rewritten: bool, where: str) -> list[Block]:
    """Return the blocks that select what both lists select, [] if no request matches both.

    rewritten: the route rewrites the matched part of the path, so its path condition must not change.
    Raises Refused (COHORT_MATCH_INEXPRESSIBLE) if Istio cannot express both in one block.
    """
    blocks = []
    for outer in base or [{}]:
        for inner in cohort:
            try:
                block = _intersect_blocks(outer or {}, inner)
                if rewritten and block.get("uri") != (outer or {}).get("uri"):
                    raise Inexpressible(
                        "the route rewrites the matched part of the path, so a cohort cannot narrow the path"
                    )
            except NoRequestMatches:
                continue
            except Inexpressible as reason:
                finding = Finding(
                    "COHORT_MATCH_INEXPRESSIBLE", where, f"The route and the cohort test the same field: {reason}."
                )
                raise Refused(f"{where}: {reason}.", [finding]) from None
            if block not in blocks:
                blocks.append(block)
    return blocks


def _intersect_blocks(outer: Block, inner: Block) -> Block:
    block = copy.deepcopy(outer)
    for field in ("uri", "method"):
        if field in inner:
            ignore_case = field == "uri" and bool(outer.get("ignoreUriCase"))
            block[field] = _intersect_conditions(outer.get(field), inner[field], field, ignore_case=ignore_case)
            if ignore_case and field not in outer:
                del block["ignoreUriCase"]
    for field in _MAPPINGS:
        for name, condition in (inner.get(field) or {}).items():
            existing = _existing_name(outer.get(field), name) if field == "headers" else name
            both = _intersect_conditions((outer.get(field) or {}).get(existing, None), condition, name)
            block.setdefault(field, {})[existing] = both
    for name, condition in (inner.get("withoutHeaders") or {}).items():
        existing = _existing_name(outer.get("withoutHeaders"), name)
        block.setdefault("withoutHeaders", {})[existing] = _intersect_exclusions(
            (outer.get("withoutHeaders") or {}).get(existing), condition, name
        )
    if inner.get("sourceLabels") and outer.get("gateways"):
        # istiod tests one or the other (sourceMatchHTTP): the labels would be ignored, and every caller in the cohort.
        raise Inexpressible("the route selects by gateway, and Istio then ignores the caller's labels")
    for name, value in (inner.get("sourceLabels") or {}).items():
        if (outer.get("sourceLabels") or {}).get(name, value) != value:
            raise NoRequestMatches
        block.setdefault("sourceLabels", {})[name] = value
    _refuse_contradictions(block)
    return block


def _existing_name(conditions: t.Mapping[str, t.Any] | None, name: str) -> str:
    """Return the spelling under which the header is already a key; proxies ignore its case."""
    return next((known for known in conditions or {} if known.lower() == name.lower()), name)


def _refuse_contradictions(block: Block) -> None:
    """Raise NoRequestMatches if a header must have a value that is excluded."""
    for name, excluded in (block.get("withoutHeaders") or {}).items():
        existing = _existing_name(block.get("headers"), name)
        if existing not in (block.get("headers") or {}):
            continue
        required = block["headers"][existing]
        if _is_any_value(excluded) or required == excluded or _implies(required, excluded):
            raise NoRequestMatches


def _implies(required: Block | None, excluded: Block) -> bool:
    """Return whether every required value is certainly excluded."""
    try:
        if "exact" in (required or {}):
            return _text_matches((required or {})["exact"], excluded, ignore_case=False)
        prefixes = (required or {}).get("prefix"), excluded.get("prefix")
        return None not in prefixes and str(prefixes[0]).startswith(str(prefixes[1]))
    except Inexpressible:
        return False


def _is_any_value(condition: Block | None) -> bool:
    return not condition or condition == {"regex": "*"}


def _intersect_conditions(outer: Block | None, inner: Block, name: str, *, ignore_case: bool = False) -> Block:
    if outer is None or outer == inner:
        return copy.deepcopy(inner)
    if _is_any_value(outer) or _is_any_value(inner):
        return copy.deepcopy(inner if _is_any_value(outer) else outer)
    for narrow, wide in ((outer, inner), (inner, outer)):
        if "exact" in narrow:
            if _text_matches(narrow["exact"], wide, ignore_case=ignore_case):
                return copy.deepcopy(narrow)
            raise NoRequestMatches
    if "prefix" in outer and "prefix" in inner:
        short, long = sorted((outer["prefix"], inner["prefix"]), key=len)
        if not _folded(long, ignore_case).startswith(_folded(short, ignore_case)):
            raise NoRequestMatches
        return {"prefix": long}
    raise Inexpressible(
        f"{name} must match {_condition_text(outer)} and {_condition_text(inner)}, and Istio tests it only once"
    )


def _text_matches(text: str, condition: Block, *, ignore_case: bool) -> bool:
    if "exact" in condition:
        return _folded(condition["exact"], ignore_case) == _folded(text, ignore_case)
    if "prefix" in condition:
        return _folded(text, ignore_case).startswith(_folded(condition["prefix"], ignore_case))
    try:
        return linear_regex.compiled(condition["regex"]).fullmatch(text)  # Istio's expressions match the whole value
    except (linear_regex.InvalidExpression, linear_regex.Undecided) as error:
        why = f": {error}"
    except KeyError:
        why = ""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    raise Inexpressible(f"it cannot be decided whether {shown} matches {_condition_text(condition)}{why}")


def _folded(text: str, ignore_case: bool) -> str:
    return text.lower() if ignore_case else text


def _intersect_exclusions(outer: Block | None, inner: Block, name: str) -> Block:
    if outer is None or outer == inner:
        return copy.deepcopy(inner)
    if _is_any_value(outer) or _is_any_value(inner):
        return {}
    raise Inexpressible(
        f"{name} must match neither {_condition_text(outer)} nor {_condition_text(inner)}, and Istio tests it only once"
    )


def _condition_text(condition: Block) -> str:
    return " ".join(f"{kind} {value}" for kind, value in condition.items())
