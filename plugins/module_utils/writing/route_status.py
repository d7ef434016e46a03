# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parents of an HTTPRoute or a GRPCRoute say of what was written: their conditions of this generation."""

from __future__ import annotations

import time
import typing as t

from ..errors import ApiError
from ..kube.resources import GRPC_ROUTE, HTTP_ROUTE
from ..objects.route_status import has_status, is_current, problems

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kube.client import Cluster
    from ..objects.change import Change
    from ..objects.route_status import Problem

KINDS: t.Final = {one.kind: one for one in (HTTP_ROUTE, GRPC_ROUTE)}
SECONDS: t.Final = 5.0
"""How long a controller that has said something of the object before has to say it of the new generation."""
FIRST_PAUSE: t.Final = 0.05


def new_problems(cluster: Cluster, changes: Sequence[Change], notes: list[str]) -> list[tuple[Change, Problem]]:
    """Return what parents say against the written routes and did not say before. notes: what was not learnt."""
    found = []
    for change in changes:
        if change.kind in KINDS and change.before is not None and change.after is not None:
            known = {one[:3] for one in problems(change.before)}
            found += [(change, one) for one in _problems(cluster, change, notes) if one[:3] not in known]
    return found


def _problems(cluster: Cluster, change: Change, notes: list[str]) -> list[Problem]:
    if not has_status(change.before or {}):
        return []  # no controller has ever spoken of it, so none is waited for
    deadline, pause = time.monotonic() + SECONDS, FIRST_PAUSE
    while True:
        try:
            stored = cluster.get(KINDS[change.kind], change.namespace, change.name)
        except ApiError as error:
            notes.append(f"The status of {change.object} could not be read: {error.msg}")
            return []
        if stored is None or is_current(stored):
            return problems(stored or {})
        if time.monotonic() >= deadline:
            notes.append(f"No parent of {change.object} said within {SECONDS:g} s whether it accepts the change.")
            return []
        time.sleep(pause)
        pause = min(pause * 2, 0.5)
