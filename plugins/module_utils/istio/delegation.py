# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A delegate's match must fit its root's, or istiod drops the route with no more than a log line. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..findings import Finding
from ..objects.metadata import full_name, identity
from .find import roots_of
from .route_keys import is_managed

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..objects.matches import Block
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

_MAPS: t.Final = ("headers", "withoutHeaders", "queryParams")


def refuse_conflicts(before: Object, after: Object, snapshot: Snapshot) -> None:
    """Raise Refused (DELEGATE_MATCH_CONFLICT) if a root's match would drop a route newly inserted in a delegate.

    Where the route after it is dropped too, no request could reach the inserted one.
    """
    if (after.get("spec") or {}).get("hosts"):
        return
    known = (before.get("spec") or {}).get("http") or ()
    for root in roots_of(after, snapshot):
        for outer in _matches_for(root, after):
            inserted: list[Object] = []
            for route in after["spec"]["http"]:
                if is_managed(route):
                    inserted.append(route)
                    continue
                if merged_match(outer, route.get("match") or []) is not None:
                    dropped = (one for one in inserted if merged_match(outer, one["match"]) is None)
                    _refuse([one for one in dropped if one not in known], root, after)
                inserted = []


def _matches_for(root: Object, delegate: Object) -> Iterator[list[Block]]:
    """Yield the match of every route of the root that delegates there."""
    own, _name = identity(root)
    for route in (root.get("spec") or {}).get("http") or ():
        target = route.get("delegate") or {}
        if (target.get("namespace") or own, target.get("name")) == identity(delegate):
            yield route.get("match") or []


def _refuse(dropped: Sequence[Object], root: Object, delegate: Object) -> None:
    if not dropped:
        return
    reason = f"The root {full_name(root)} selects by the same things as {dropped[0]['name']}, in another way."
    finding = Finding("DELEGATE_MATCH_CONFLICT", full_name(delegate), reason)
    raise Refused(f"{full_name(delegate)}: {reason} istiod would drop that route silently.", [finding])


def merged_match(root: Sequence[Block], leaf: Sequence[Block]) -> list[Block] | None:
    """Return the match istiod makes of a root's and its delegate's, None where it drops the delegate's route.

    Follows mergeHTTPMatchRequests in pilot/pkg/model/virtualservice.go.
    """
    if not root or not leaf:
        return list(leaf or root)
    merged: list[Block] = []
    for inner in leaf:
        fitting = [outer for outer in root if not _conflict(outer or {}, inner or {})]
        if not fitting:
            return None
        merged += [_merged_block(outer or {}, inner or {}) for outer in fitting]
    return merged


def _merged_block(root: Block, leaf: Block) -> Block:
    block = {**root, **leaf}
    for field in (*_MAPS, "sourceLabels"):
        if field in root or field in leaf:
            block[field] = {**(root.get(field) or {}), **(leaf.get(field) or {})}
    names = [str(one["name"]) for one in (root, leaf) if one.get("name")]
    return {**block, "name": "-".join(names)} if names else block


def _conflict(root: Block, leaf: Block) -> bool:
    """Return whether istiod finds that the leaf is not within the root (hasConflict)."""
    if any(_strings_conflict(root.get(field), leaf.get(field)) for field in ("uri", "scheme", "method", "authority")):
        return True
    for field in _MAPS:
        outer = root.get(field) or {}
        if any(_strings_conflict(outer.get(name), condition) for name, condition in (leaf.get(field) or {}).items()):
            return True
    if bool(root.get("ignoreUriCase")) != bool(leaf.get("ignoreUriCase")):
        return True
    if root.get("port") and leaf.get("port") and root["port"] != leaf["port"]:
        return True
    if root.get("sourceNamespace") and root["sourceNamespace"] != leaf.get("sourceNamespace"):
        return True
    if root.get("gateways") and not set(leaf.get("gateways") or ()) <= set(root["gateways"]):
        return True
    labels = root.get("sourceLabels") or {}
    return any(labels.get(name, value) != value for name, value in (leaf.get("sourceLabels") or {}).items())


def _strings_conflict(root: Block | None, leaf: Block | None) -> bool:
    """Return whether two conditions on one field conflict (stringMatchConflict)."""
    if root is None or leaf is None:
        return False
    if "exact" in root:
        return bool(leaf.get("exact") != root["exact"])
    if "prefix" not in root or "regex" in leaf or not leaf:
        return True
    return not str(leaf.get("exact", leaf.get("prefix", ""))).startswith(root["prefix"])
