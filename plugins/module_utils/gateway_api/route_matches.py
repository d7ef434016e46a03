# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between the kinds of routes of the Gateway API: how they select requests. Pure.

Parents, backends, weights and mirrors are the same in an HTTPRoute and a GRPCRoute, so one adapter and one planner
serve both. A further kind of route that shares requests by weighted backends is a row here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import grpc_match_translation, match_translation

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..objects.matches import Block
    from ..objects.metadata import Object

    Match = dict[str, t.Any]


@dataclass(frozen=True)
class RouteMatches:
    """How the matches of one kind are read and written. option: the module's option that names objects of the kind."""

    option: str
    to_blocks: Callable[[Sequence[Match] | None], list[Block]]
    """From matches to Istio's blocks; an empty list, or an empty block, matches every request."""
    to_matches: Callable[[Sequence[Block]], list[Match]]
    """From blocks to matches, as the API server returns them."""
    with_defaults: Callable[[Match], Match]
    require_expressible: Callable[[t.Any], None]
    """Raise InvalidInput for a cohort that no match can select."""
    require_whole_segments: Callable[[Iterable[Sequence[Block]], Sequence[Block], str], None]
    """Raise Refused where the paths of a rule and of a cohort meet within a segment."""
    precedence: Callable[[Match], tuple[int, int, bool, int, int]]
    """The order in which proxies try matches, the highest first."""


KINDS: t.Final[Mapping[str, RouteMatches]] = {
    "HTTPRoute": RouteMatches(
        "http_routes",
        match_translation.to_blocks,
        match_translation.to_matches,
        match_translation.with_defaults,
        match_translation.require_expressible,
        match_translation.require_whole_segments,
        match_translation.precedence,
    ),
    "GRPCRoute": RouteMatches(
        "grpc_routes",
        grpc_match_translation.to_blocks,
        grpc_match_translation.to_matches,
        grpc_match_translation.with_defaults,
        grpc_match_translation.require_expressible,
        grpc_match_translation.require_whole_segments,
        grpc_match_translation.precedence,
    ),
}


def of(route: Object) -> RouteMatches:
    """Return how the matches of a route, or of the VirtualService that it was converted to, are read."""
    return KINDS[str(route["kind"])]
