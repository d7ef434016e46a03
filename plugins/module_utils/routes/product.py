# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort's match within the match of the route it stands before. Pure.

A block is a conjunction, a list of blocks a disjunction, so the product of two lists is their conjunction.
"""

from __future__ import annotations

import copy
import re
import typing as t

from ..errors import Refused
from ..findings import Finding
from .matches import RE2_ONLY

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .matches import Block

_MAPS: t.Final = ("headers", "queryParams")


class Unanswerable(Exception):
    """Both sides have a condition on one thing and no single condition says both."""


class Never(Exception):
    """No request can fulfil both."""


def product(base: Sequence[Block], cohort: Sequence[Block], *, rewritten: bool, where: str) -> list[Block]:
    """Return the blocks that select what both lists select, [] if no request can be in both.

    rewritten: the route rewrites the matched part of the path, so its path condition must not change.
    Raises Refused (COHORT_MATCH_UNANSWERABLE) if Istio cannot say both in one block.
    """
    blocks = []
    for outer in base or [{}]:
        for inner in cohort:
            try:
                block = _both(outer or {}, inner)
                if rewritten and block.get("uri") != (outer or {}).get("uri"):
                    raise Unanswerable(
                        "the route rewrites its path by what is matched of it, so a cohort cannot narrow the path"
                    )
            except Never:
                continue
            except Unanswerable as reason:
                finding = Finding(
                    "COHORT_MATCH_UNANSWERABLE", where, f"The route and the cohort both look at one thing: {reason}."
                )
                raise Refused(f"{where}: {reason}.", [finding]) from None
            if block not in blocks:
                blocks.append(block)
    return blocks


def _both(outer: Block, inner: Block) -> Block:
    block = copy.deepcopy(outer)
    for field in ("uri", "method"):
        if field in inner:
            ignore_case = field == "uri" and bool(outer.get("ignoreUriCase"))
            block[field] = _string_both(outer.get(field), inner[field], field, ignore_case=ignore_case)
            if ignore_case and field not in outer:
                del block["ignoreUriCase"]
    for field in _MAPS:
        for name, condition in (inner.get(field) or {}).items():
            there = _find(outer.get(field), name) if field == "headers" else name
            both = _string_both((outer.get(field) or {}).get(there, None), condition, name)
            block.setdefault(field, {})[there] = both
    for name, condition in (inner.get("withoutHeaders") or {}).items():
        there = _find(outer.get("withoutHeaders"), name)
        block.setdefault("withoutHeaders", {})[there] = _neither(
            (outer.get("withoutHeaders") or {}).get(there), condition, name
        )
    if inner.get("sourceLabels") and outer.get("gateways"):
        # istiod looks at one or the other (sourceMatchHTTP): the labels would be ignored, and everybody in the cohort.
        raise Unanswerable("the route selects by gateway, and Istio then ignores the caller's labels")
    for name, value in (inner.get("sourceLabels") or {}).items():
        if (outer.get("sourceLabels") or {}).get(name, value) != value:
            raise Never
        block.setdefault("sourceLabels", {})[name] = value
    _check_presence(block)
    return block


def _find(conditions: t.Mapping[str, t.Any] | None, name: str) -> str:
    """Return the name under which the header is already there; proxies do not tell its case."""
    return next((known for known in conditions or {} if known.lower() == name.lower()), name)


def _check_presence(block: Block) -> None:
    """Raise Never if a header must have a value that it must not have."""
    for name, excluded in (block.get("withoutHeaders") or {}).items():
        there = _find(block.get("headers"), name)
        if there not in (block.get("headers") or {}):
            continue
        wanted = block["headers"][there]
        if _is_presence(excluded) or wanted == excluded or _always(wanted, excluded):
            raise Never


def _always(wanted: Block | None, excluded: Block) -> bool:
    """Return whether every value that is wanted is excluded, as far as that can be told."""
    try:
        if "exact" in (wanted or {}):
            return _matches((wanted or {})["exact"], excluded, ignore_case=False)
        prefixes = (wanted or {}).get("prefix"), excluded.get("prefix")
        return None not in prefixes and str(prefixes[0]).startswith(str(prefixes[1]))
    except Unanswerable:
        return False


def _is_presence(condition: Block | None) -> bool:
    return not condition or condition == {"regex": "*"}


def _string_both(outer: Block | None, inner: Block, name: str, *, ignore_case: bool = False) -> Block:
    if outer is None or outer == inner:
        return copy.deepcopy(inner)
    if _is_presence(outer) or _is_presence(inner):
        return copy.deepcopy(inner if _is_presence(outer) else outer)
    for narrow, wide in ((outer, inner), (inner, outer)):
        if "exact" in narrow:
            if _matches(narrow["exact"], wide, ignore_case=ignore_case):
                return copy.deepcopy(narrow)
            raise Never
    if "prefix" in outer and "prefix" in inner:
        short, long = sorted((outer["prefix"], inner["prefix"]), key=len)
        if not _fold(long, ignore_case).startswith(_fold(short, ignore_case)):
            raise Never
        return {"prefix": long}
    raise Unanswerable(f"{name} must match {_shown(outer)} and {_shown(inner)}, and Istio can test it once")


def _matches(text: str, condition: Block, *, ignore_case: bool) -> bool:
    if "exact" in condition:
        return _fold(condition["exact"], ignore_case) == _fold(text, ignore_case)
    if "prefix" in condition:
        return _fold(text, ignore_case).startswith(_fold(condition["prefix"], ignore_case))
    try:
        if not RE2_ONLY.search(condition["regex"]):
            return re.fullmatch(condition["regex"], text, re.ASCII) is not None
    except (re.error, KeyError):
        pass
    raise Unanswerable(f"whether {text} matches {_shown(condition)} is not known here")


def _fold(text: str, ignore_case: bool) -> str:
    return text.lower() if ignore_case else text


def _neither(outer: Block | None, inner: Block, name: str) -> Block:
    if outer is None or outer == inner:
        return copy.deepcopy(inner)
    if _is_presence(outer) or _is_presence(inner):
        return {}
    raise Unanswerable(f"{name} must match neither {_shown(outer)} nor {_shown(inner)}, and Istio can test it once")


def _shown(condition: Block) -> str:
    return " ".join(f"{kind} {value}" for kind, value in condition.items())
