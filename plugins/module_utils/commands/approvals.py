# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the answer to a manual gate from the Service, every few seconds while the canary is watched."""

from __future__ import annotations

import math
import time
import typing as t

from ..cluster_resources import SERVICE
from ..rollout.approval import Answer, answer

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef

ASK_EVERY: t.Final = 2.0
"""Seconds between two readings of the Service: one GET each."""


class Approval:
    """The answer that names one ticket. clock: seconds that only grow."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, ticket: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster, self._service, self._ticket, self._clock = cluster, service, ticket, clock
        self._asked = -math.inf

    def __call__(self) -> Answer | None:
        """Return the answer, None where there is none yet or the Service was read just now. Raises ApiError."""
        if self._clock() - self._asked < ASK_EVERY:
            return None
        self._asked = self._clock()
        found = self._cluster.get(SERVICE, self._service.namespace, self._service.name) or {}
        return answer((found.get("metadata") or {}).get("annotations") or {}, self._ticket)
