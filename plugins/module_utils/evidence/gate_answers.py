# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the answer to a manual gate from the Service, every few seconds while the canary is analyzed."""

from __future__ import annotations

import math
import time
import typing as t

from ..errors import ApiError, CanaryError
from ..kube.resources import SERVICE
from ..rollout.approval import Answer, answer

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef

READ_EVERY: t.Final = 2.0
"""Seconds between two readings of the Service: one GET each."""


class ApprovalReader:
    """Reads the answer for one ticket. clock: monotonic seconds."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, ticket: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster, self._service, self._ticket, self._clock = cluster, service, ticket, clock
        self._read_at = -math.inf
        self._error: CanaryError | None = None

    def __call__(self) -> Answer | None:
        """Return the answer, None where there is none yet. Between two readings the last one stands.

        Raises CanaryError where it could not be read, which is not "no answer yet".
        """
        if self._clock() - self._read_at >= READ_EVERY:
            self._read_at, self._error = self._clock(), None
            try:
                return self._read()
            except CanaryError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        return None

    def _read(self) -> Answer | None:
        namespace, name = self._service.namespace, self._service.name
        found = self._cluster.get(SERVICE, namespace, name)
        if found is None:
            raise ApiError(
                f"The Service {namespace}/{name} does not exist, and the answer is an annotation on it.", 404
            )
        return answer((found.get("metadata") or {}).get("annotations") or {}, self._ticket)


def unreadable(error: str) -> str:
    """Return the sentence that says at once that an answer cannot be read. error: why."""
    return f"The answer to the gate cannot be read, and is read again every {READ_EVERY:g} s: {error}"


def unknown_answer(error: str) -> str:
    """Return the reason of a gate that has ended with an answer that could not be read. error: why."""
    return f"the answer to the gate cannot be read, so it is not known whether somebody answered: {error}"
