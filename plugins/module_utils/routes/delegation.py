# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A delegate's match must fit its root's, or istiod drops the route with no more than a log line. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..findings import Finding
from .find import roots_of
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .matches import Block
    from .snapshot import Object, Snapshot


def refuse_conflicts(delegate: Object, blocks: Sequence[Block], snapshot: Snapshot) -> None:
    """Raise Refused (DELEGATE_MATCH_CONFLICT) if a root's match would drop a route with one of `blocks`.

    Follows hasConflict in pilot/pkg/model/virtualservice.go, for the fields a cohort can set.
    """
    own, name = identity(delegate)
    if (delegate.get("spec") or {}).get("hosts"):
        return
    for root in roots_of(delegate, snapshot):
        for route in (root.get("spec") or {}).get("http") or ():
            target = route.get("delegate") or {}
            if (target.get("name"), target.get("namespace") or identity(root)[0]) != (name, own):
                continue
            outer = route.get("match") or []
            lost = [block for block in blocks if outer and all(_conflict(one or {}, block) for one in outer)]
            if lost:
                reason = f"The root {label(root)} selects by the same things as the cohort, in another way."
                finding = Finding("DELEGATE_MATCH_CONFLICT", label(delegate), reason)
                raise Refused(
                    f"{label(delegate)}: {reason} istiod would drop the cohort's route without a word.", [finding]
                )


def _conflict(root: Block, leaf: Block) -> bool:
    if any(_strings_conflict(root.get(field), leaf.get(field)) for field in ("uri", "method")):
        return True
    for field in ("headers", "withoutHeaders", "queryParams"):
        outer = root.get(field) or {}
        if any(_strings_conflict(outer.get(name), condition) for name, condition in (leaf.get(field) or {}).items()):
            return True
    if root.get("ignoreUriCase") or root.get("sourceNamespace"):
        return True
    labels = root.get("sourceLabels") or {}
    return any(labels.get(name, value) != value for name, value in (leaf.get("sourceLabels") or {}).items())


def _strings_conflict(root: Block | None, leaf: Block | None) -> bool:
    """Return whether istiod finds that the leaf's condition is not within the root's (stringMatchConflict)."""
    if root is None or leaf is None:
        return False
    if "exact" in root:
        return bool(leaf.get("exact") != root["exact"])
    if "prefix" not in root or "regex" in leaf or not leaf:
        return True
    return not str(leaf.get("exact", leaf.get("prefix", ""))).startswith(root["prefix"])
