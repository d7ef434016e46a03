# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts HTTPRoute matches to Istio's match blocks and back, and ranks rules by precedence. Pure."""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput, Refused
from ..objects.matches import escape_regex, to_istio_blocks

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..objects.matches import Block

Match = dict[str, t.Any]

_KINDS: t.Final = {"Exact": "exact", "PathPrefix": "prefix", "RegularExpression": "regex"}
_PATH_TYPES: t.Final = {kind: name for name, kind in _KINDS.items()}
_PATH_RANK: t.Final = {"Exact": 3, "PathPrefix": 2, "RegularExpression": 1}
_ANY: t.Final = ".*"


def to_blocks(matches: Sequence[Match] | None) -> list[Block]:
    """Return the matches as Istio's blocks; [] where every request matches and no match tests more than another.

    Proxies try each match by how much it tests, so those beside one for all requests are kept. A prefix stays a prefix,
    though of whole path segments; a regex for any value is presence.
    """
    blocks = [_to_block(match or {}) for match in matches or ()]
    return blocks if any(blocks) else []


def _to_block(match: Match) -> Block:
    block: Block = {}
    path = match.get("path") or {}
    kind, value = _KINDS.get(path.get("type") or "PathPrefix", "regex"), str(path.get("value") or "/")
    if (kind, value) != ("prefix", "/"):
        block["uri"] = {kind: value}
    if match.get("method"):
        block["method"] = {"exact": match["method"]}
    for field, name in (("headers", "headers"), ("queryParams", "queryParams")):
        for one in match.get(field) or ():
            block.setdefault(name, {}).setdefault(str(one["name"]), condition(one))
    return block


def condition(one: Mapping[str, t.Any]) -> Block:
    """Return the condition of a match on a header or a parameter; {} for any value."""
    kind = "regex" if one.get("type") == "RegularExpression" else "exact"
    return {} if (kind, one.get("value")) == ("regex", _ANY) else {kind: one["value"]}


def to_matches(blocks: Sequence[Block]) -> list[Match]:
    """Return the blocks as HTTPRoute matches, written out with every default, as the API server returns them."""
    return [_to_match(block) for block in blocks]


def _to_match(block: Block) -> Match:
    ((kind, value),) = (block.get("uri") or {"prefix": "/"}).items()
    match: Match = {"path": {"type": _PATH_TYPES[kind], "value": value}}
    for field in ("headers", "queryParams"):
        if block.get(field):
            match[field] = [header_match(name, one) for name, one in block[field].items()]
    if "method" in block:
        match["method"] = block["method"]["exact"]
    return match


def header_match(name: str, wanted: Block) -> dict[str, str]:
    """Return a condition as a match on a header or a parameter: the inverse of `condition`."""
    if "exact" in wanted:
        return {"type": "Exact", "name": name, "value": wanted["exact"]}
    regex = escape_regex(wanted["prefix"]) + _ANY if "prefix" in wanted else wanted.get("regex", _ANY)
    return {"type": "RegularExpression", "name": name, "value": regex}


def with_defaults(match: Match) -> Match:
    """Return the match with its defaults written out, so that equal matches have equal text."""
    path = {"type": "PathPrefix", "value": "/", **(match.get("path") or {})}
    lists = {
        field: [{"type": "Exact", **one} for one in match[field]]
        for field in ("headers", "queryParams")
        if match.get(field)
    }
    return {**match, "path": path, **lists}


def require_expressible(match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]]) -> None:
    """Raise InvalidInput for a cohort that an HTTPRoute cannot select, or would select too late."""
    for block in to_istio_blocks(match):
        if "withoutHeaders" in block:
            raise InvalidInput(
                f"{', '.join(block['withoutHeaders'])}: an HTTPRoute cannot test that a header or cookie is absent. "
                "Give the cohort a header of its own, or route the service by a VirtualService."
            )
        if "sourceLabels" in block:
            raise InvalidInput(
                "source_labels: an HTTPRoute cannot select callers by labels. Select them by a header, "
                "or route the service by a VirtualService."
            )
        if "regex" in (block.get("uri") or {}):
            raise InvalidInput(
                "path.regex: proxies try an HTTPRoute's expressions for paths after all other rules, so the cohort "
                "would get little or nothing. Use path exact or prefix, or a header."
            )
        for name in block.get("headers") or ():
            if name.startswith((":", "@")):
                raise InvalidInput(f"headers.{name} cannot be tested by an HTTPRoute. Use a header of the request.")


def require_whole_segments(rules: Iterable[Sequence[Block]], cohort: Sequence[Block], where: str) -> None:
    """Raise Refused for pairs such as /api and /apis: a prefix of an HTTPRoute means whole path segments."""
    for blocks in rules:
        for one in blocks:
            for other in cohort:
                pair = [block["uri"] for block in (one, other) if "uri" in block]
                if len(pair) == 2 and _splits_a_segment(*pair):
                    raise Refused(
                        f"{where}: the cohort's path {_text(pair[1])} and the rule's path {_text(pair[0])} meet within "
                        "a path segment, where an HTTPRoute's prefix does not match. Use whole segments, "
                        "or select rules with the option routes."
                    )


def _text(uri: Block) -> str:
    return str(next(iter(uri.values())))


def _splits_a_segment(one: Block, other: Block) -> bool:
    for short, long in ((one, other), (other, one)):
        if "prefix" not in short or "regex" in long or len(_text(long)) < len(_text(short)):
            continue
        prefix = short["prefix"].rstrip("/")
        if _text(long).startswith(prefix) and _text(long)[len(prefix) :][:1] not in ("", "/"):
            return True
    return False


def precedence(match: Match) -> tuple[int, int, bool, int, int]:
    """Return the match's precedence; proxies try the highest first (Gateway API, HTTPRouteRule.matches)."""
    path = with_defaults(match)["path"]
    return (
        _PATH_RANK.get(path["type"], 1),
        len(str(path["value"])),
        bool(match.get("method")),
        len(match.get("headers") or ()),
        len(match.get("queryParams") or ()),
    )
