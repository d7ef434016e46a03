# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Matches of other tools as the conditions of a cohort. Pure.

A condition that cannot be said loses its whole alternative: without it the cohort would select more requests.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput
from ..objects.matches import escape_regex
from ..rollout.cohort import parse
from .manifest import is_template

if t.TYPE_CHECKING:
    from .manifest import Node
    from .translation import Json

_COOKIE: t.Final = re.compile(r"\^\(\.\*\??;(?:\\s\*|\s)?\)[?*]\(?([\w.-]{1,80})=([^()\[\]|;]{0,200})\)?\(;\.\*\)\?\$?")
_STRINGS: t.Final = ("exact", "prefix", "regex", "suffix")
_INSTEAD: t.Final = "Write the cohort by hand (rollout_cohort), with the options of canary_header_route."


def cohort_of(alternatives: t.Sequence[Json]) -> Json:
    """Return the shortest form of a cohort; {} for none."""
    if len(alternatives) > 1:
        return {"match": list(alternatives)}
    return dict(alternatives[0]) if alternatives else {}


def checked(node: Node, match: Json | None) -> Json | None:
    """Return the alternative; None, and the node listed, if no cohort can have it."""
    if match is None:
        reason = "Part of this match cannot be said as a cohort."
    else:
        try:
            parse(match, "cohort")
        except InvalidInput as error:
            reason = f"No cohort can have this match: {error.msg}"
        else:
            return match
    node.list_missing("", reason, _INSTEAD, blocking=True)
    return None


def header(name: str, condition: Json | None) -> Json | None:
    """Return a header as a part of an alternative; the header cookie as the cookie that its expression names."""
    if not name or condition is None:
        return None
    if name.lower() != "cookie":
        return {"headers": {name: condition}}
    found = _COOKIE.fullmatch(str(condition.get("regex", "")))
    if found is None:
        return None
    value = found[2]
    plain = re.fullmatch(r"[\w%=-]*", value) is not None
    return {"cookies": {found[1]: {"exact": value} if plain else {"regex": value}}}


def condition_of(node: Node) -> Json | None:
    """Return a condition of a text, {} for its presence; None for what is none."""
    if not node.value:
        return {"present": True}
    given = [name for name in _STRINGS if node.has(name)]
    if len(given) != 1 or set(node.value) != set(given):
        return None
    text = node.text(given[0])
    if is_template(text):
        return None
    return {"regex": f".*{escape_regex(text)}"} if given[0] == "suffix" else {given[0]: text}


def istio_match(node: Node) -> Json | None:
    """Return one HTTPMatchRequest of Istio as an alternative; None, and the node listed, if it cannot be said."""
    match: Json = {}
    for name, value in node.value.items():
        part = _part(node, name) if value is not None else {}
        if part is None:
            return checked(node, None)
        for field, conditions in part.items():
            both = isinstance(conditions, dict) and field in match and field != "path"
            match[field] = {**match[field], **conditions} if both else conditions
    node.note()
    return checked(node, match or None)


def _part(node: Node, name: str) -> Json | None:
    """Return what one field of a match says; None for one that a cohort does not have."""
    if name == "name":
        return {}
    inside = node.mapping(name) if name not in ("gateways", "port", "ignoreUriCase", "sourceNamespace") else None
    if inside is None:
        return None
    if name == "headers":
        return _joined(header(one, condition_of(_inner(inside, one))) for one in inside.value)
    if name == "withoutHeaders":
        absent = {one: {"absent": True} for one in inside.value}
        return {"headers": absent} if not any(inside.value.values()) else None
    if name == "queryParams":
        found = {one: condition_of(_inner(inside, one)) for one in inside.value}
        return {"query": found} if None not in found.values() else None
    if name == "sourceLabels":
        labels = {one: inside.text(one) for one in inside.value}
        return {"source_labels": labels} if not any(map(is_template, labels.values())) else None
    condition = condition_of(inside)
    if name == "uri" and condition is not None:
        return {"path": condition}
    if name == "method" and condition is not None and "exact" in condition:
        return {"methods": [condition["exact"]]}
    return None


def _inner(node: Node, name: str) -> Node:
    found = node.mapping(name)
    if found is None:
        raise node.error(name, "must be a mapping.")
    return found


def _joined(parts: t.Iterable[Json | None]) -> Json | None:
    """Return the parts of headers and cookies as one; None if one of them cannot be said."""
    found: Json = {}
    for part in parts:
        if part is None:
            return None
        for field, conditions in part.items():
            found.setdefault(field, {}).update(conditions)
    return found
