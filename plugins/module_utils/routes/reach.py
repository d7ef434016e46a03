# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which places a routing object sends requests to, or copies of them. Pure."""

from __future__ import annotations

import typing as t

from .destinations import entry_shares
from .gateway_lens import live_refs
from .hosts import expand
from .keys import PROTOCOLS
from .mirror import mirrors_of
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .change import Change
    from .snapshot import Object

Place = tuple[str, str]


def newly_reached(changes: Iterable[Change], domain: str) -> frozenset[Place]:
    """Return (host, subset) of the places that edited routes send to and did not before; subset '' for all pods.

    Routes that are created together with their subsets are no edits; what a plan's own DestinationRules define is
    waited for when these are written.
    """
    edits = [change for change in changes if change.before and change.after]
    rules = [change.after for change in changes if change.kind == "DestinationRule" and change.after]
    fresh = {str(one["name"]) for rule in rules for one in rule["spec"].get("subsets") or ()}
    before = {place for change in edits for place in _places(change.before or {}, domain)}
    after = {place for change in edits for place in _places(change.after or {}, domain)}
    return frozenset(place for place in after - before if place[1] not in fresh)


def _places(obj: Object, domain: str) -> Iterator[Place]:
    namespace, _name = identity(obj)
    if obj.get("kind") == "HTTPRoute":
        for ref in live_refs(obj):
            if ref.get("kind", "Service") == "Service":
                yield f"{ref.get('name')}.{ref.get('namespace') or namespace}.svc.{domain}", ""
        return
    for protocol in PROTOCOLS:
        for route in obj["spec"].get(protocol) or ():
            entries = route.get("route") or []
            live = zip(entries, entry_shares(entries, label(obj)), strict=True)
            destinations = [entry.get("destination") or {} for entry, share in live if share]
            for one in [*destinations, *(copied for copied, _percent in mirrors_of(route))]:
                yield expand(str(one.get("host") or ""), namespace, domain), str(one.get("subset") or "")
