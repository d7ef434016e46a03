# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destinations and subsets that a plan adds: what proxies must know before requests are sent there. Pure."""

from __future__ import annotations

import typing as t

from .kinds import ROUTE_KINDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..objects.change import Change

Destination = tuple[str, str]


def new_destinations(changes: Iterable[Change], domain: str) -> frozenset[Destination]:
    """Return (host, subset) of what edited routes send to and did not before; subset '' for all pods.

    Routes that are created together with their subsets are no edits. Subsets that the plan itself defines are left out:
    the proxies are waited for when these are written.
    """
    edits = [(change.before, change.after) for change in changes if change.before and change.after]
    before: set[Destination] = set()
    after: set[Destination] = set()
    for kind in ROUTE_KINDS:
        for old, new in edits:
            if old["kind"] in kind.kinds:
                before.update(kind.destinations(old, domain))
                after.update(kind.destinations(new, domain))
    own = defined_subsets(changes)
    return frozenset((host, subset) for host, subset in after - before if subset not in own)


def defined_subsets(changes: Iterable[Change]) -> set[str]:
    """Return the subsets in the DestinationRules that the changes write."""
    rules = [change.after for change in changes if change.kind == "DestinationRule" and change.after]
    return {str(subset["name"]) for rule in rules for subset in rule["spec"].get("subsets") or ()}
