# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entry points: what to write so that the routes are as an intent wants them, and how they are now. Pure.

Nothing here talks to a cluster, so check mode, the real run and a second attempt after a conflict share the very same
decision.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..errors import NoRoutes
from ..istio.find import Scope
from .kinds import ROUTE_KINDS, find_kind
from .nearby import nearby

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.intents import Intent
    from ..objects.snapshot import Snapshot

EVERYTHING: t.Final = Scope()


def plan(
    snapshot: Snapshot, service: ServiceRef, intent: Intent, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> Plan:
    """Return the changes that make the routes of the service as the intent (see `objects.intents`) wants them.

    scope: limits the objects and routes. api: `auto`, or a kind's (see `kinds`).
    Raises InvalidInput for options that can never work, Refused (with findings) for what would harm traffic or an
    object of another owner, NotRead if the snapshot lacks a list.
    """
    kind = find_kind(snapshot, service, intent.only_api or api, intent.named_versions)
    try:
        return kind.plan(snapshot, service, intent, scope)
    except NoRoutes as error:
        error.explain(nearby(snapshot, service))
        raise


def describe(
    snapshot: Snapshot,
    service: ServiceRef,
    *,
    scope: Scope = EVERYTHING,
    api: str = "auto",
    versions: Iterable[str] = (),
) -> dict[str, t.Any]:
    """Return which version gets which share of the service's requests; see `istio.describe.describe` for the keys.

    versions: that the command names; a Service of that name is a version though no route sends to it yet.
    Of the lists of routes, only the first kind's must have been read.
    """
    unread = {one.plural: () for one in ROUTE_KINDS[1:] if getattr(snapshot, one.plural) is None}
    known = replace(snapshot, **unread)
    named = frozenset(map(str, versions))
    return find_kind(known, service, api, named).describe(known, service, scope, named)
