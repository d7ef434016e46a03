# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts GRPCRoute matches to Istio's match blocks and back, and ranks rules by precedence. Pure.

A call of gRPC is a request with the path /SERVICE/METHOD, and istiod makes a condition on the path of a match's service
and method (pilot/pkg/config/kube/gateway/conversion.go, createGRPCURIMatch). So does this.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput
from ..objects.matches import to_istio_blocks
from .match_translation import condition, header_match

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..objects.matches import Block

Match = dict[str, t.Any]

_ANY_SERVICE: t.Final = "[^/]+"
_ANY_METHOD: t.Final = ".+"
_SERVICE: t.Final = r"\.?[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
_EXACT_PATH: t.Final = re.compile(rf"/({_SERVICE})/([A-Za-z_][A-Za-z0-9_]*)")
_PREFIX_PATH: t.Final = re.compile(rf"/({_SERVICE})/")
_RANK: t.Final = {"exact": 3, "prefix": 2, "regex": 1}
_NO_PATH_RANK: t.Final = -1


def to_blocks(matches: Sequence[Match] | None) -> list[Block]:
    """Return the matches as Istio's blocks; [] where every call matches (see `match_translation.to_blocks`)."""
    blocks = [_to_block(match or {}) for match in matches or ()]
    return blocks if any(blocks) else []


def _to_block(match: Match) -> Block:
    block: Block = {}
    uri = _uri(match.get("method") or {})
    if uri:
        block["uri"] = uri
    for one in match.get("headers") or ():
        block.setdefault("headers", {}).setdefault(str(one["name"]), condition(one))
    return block


def _uri(method: Mapping[str, t.Any]) -> Block:
    """Return the condition on the path that istiod makes of a match's service and method; {} without both."""
    service, name = str(method.get("service") or ""), str(method.get("method") or "")
    if not service and not name:
        return {}
    if method.get("type") == "RegularExpression" or not service:
        return {"regex": f"/{service or _ANY_SERVICE}/{name or _ANY_METHOD}"}
    return {"exact": f"/{service}/{name}"} if name else {"prefix": f"/{service}/"}


def to_matches(blocks: Sequence[Block]) -> list[Match]:
    """Return the blocks as GRPCRoute matches, written out with every default, as the API server returns them."""
    return [_to_match(block) for block in blocks]


def _to_match(block: Block) -> Match:
    match: Match = {}
    for kind, value in (block.get("uri") or {}).items():
        if value != "/":
            match["method"] = _method(kind, value)
    if block.get("headers"):
        match["headers"] = [header_match(name, one) for name, one in block["headers"].items()]
    return match


def _method(kind: str, path: str) -> Match:
    """Return service and method for a condition on the path: the inverse of `_uri`.

    istiod joins two expressions by a slash, so any slash of the joined one divides it into an equal pair.
    """
    service, _slash, name = path.removeprefix("/").rpartition("/")
    if kind == "regex":
        return {"type": "RegularExpression", "service": service, "method": name}
    return {"type": "Exact", "service": service, **({"method": name} if name else {})}


def with_defaults(match: Match) -> Match:
    """Return the match with its defaults written out, so that equal matches have equal text."""
    result = dict(match)
    if match.get("method"):
        result["method"] = {"type": "Exact", **match["method"]}
    if match.get("headers"):
        result["headers"] = [{"type": "Exact", **one} for one in match["headers"]]
    return result


def require_expressible(match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]]) -> None:
    """Raise InvalidInput for a cohort that a GRPCRoute cannot select, or would select too late."""
    for block in to_istio_blocks(match):
        for field, option in _NO_CALLS.items():
            if field in block:
                raise InvalidInput(
                    f"{option}: a GRPCRoute selects calls by service, method and headers only. "
                    f"{_NAME_OTHERS.format(option)}"
                )
        for kind, value in (block.get("uri") or {}).items():
            _require_path(kind, value)
        for name in block.get("headers") or ():
            if name.startswith((":", "@")):
                raise InvalidInput(f"headers.{name} cannot be tested by a GRPCRoute. Use a header of the call.")


_NO_CALLS: t.Final = {
    "queryParams": "query",
    "method": "methods",
    "withoutHeaders": "absent headers and cookies",
    "sourceLabels": "source_labels",
}
_NAME_OTHERS: t.Final = (
    "Select them by a header or a path /SERVICE/METHOD; or name the HTTPRoutes to edit in http_routes, if {} is meant "
    "for those."
)


def _require_path(kind: str, value: str) -> None:
    """Raise InvalidInput for a path that is no service and method."""
    if kind == "regex":
        raise InvalidInput(
            "path.regex: proxies try a GRPCRoute's expressions for methods after its exact ones, so the cohort would "
            "get little or nothing. Use path exact or prefix, or a header."
        )
    if kind == "exact" and not _EXACT_PATH.fullmatch(value):
        raise InvalidInput(
            f"path.exact: {value} is no method of gRPC. Write /SERVICE/METHOD with the service's full name, for "
            "example /shop.v1.Reviews/Get."
        )
    if kind == "prefix" and value != "/" and not _PREFIX_PATH.fullmatch(value):
        raise InvalidInput(
            f"path.prefix: a GRPCRoute selects whole services, and {value} is none. Write /SERVICE/ with the slash at "
            "the end, for example /shop.v1.Reviews/, or use path exact."
        )


def require_whole_segments(rules: Iterable[Sequence[Block]], cohort: Sequence[Block], where: str) -> None:
    """Do nothing: the services and methods of GRPCRoutes are whole segments of a path."""
    del rules, cohort, where


def precedence(match: Match) -> tuple[int, int, bool, int, int]:
    """Return the match's precedence; proxies try the highest first (conversion.go, sortHTTPRoutes).

    Calls of any service and method come after those of an expression.
    """
    uri = _to_block(match).get("uri") or {}
    kind, value = next(iter(uri.items()), ("", ""))
    return _RANK.get(kind, _NO_PATH_RANK), len(value), False, len(match.get("headers") or ()), 0
