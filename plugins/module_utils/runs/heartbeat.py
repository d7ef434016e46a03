# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heartbeat of a rollout: a thread that renews its Lease for a watchdog, as long as the task works."""

from __future__ import annotations

import threading
import typing as t

from ..errors import CanaryError, Conflict
from ..kube.resources import LEASE
from .lock import HEARTBEAT, timestamp

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from ..kube.client import Cluster
    from .lock import Lease

PER_TIMEOUT: t.Final = 4.0
"""Heartbeats per watchdog timeout, so that one lost heartbeat is not enough."""


class Heartbeat:
    """Renews the lease from `start` to `stop`, or to the end of the block. count: heartbeats sent."""

    def __init__(self, cluster: Cluster, lease: Lease, namespace: str) -> None:
        self._cluster, self._lease, self._namespace = cluster, lease, namespace
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.count = 0

    def __enter__(self) -> Heartbeat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, watchdog: Mapping[str, t.Any] | None) -> None:
        """Send the first heartbeat, and go on in the background. watchdog: of the record; None needs no heartbeat."""
        if not watchdog:
            return
        every = float(watchdog["after"]) / PER_TIMEOUT
        self._beat(every)
        self._thread = threading.Thread(target=self._work, args=(every,), name="canary-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more heartbeats."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self, every: float) -> None:
        while not self._stopped.wait(every):
            if not self._beat(every):
                return

    def _beat(self, every: float, tries: int = 3) -> bool:
        """Renew once; return False if the lock is another holder's. After a failed request the next one tries again."""
        try:
            found = self._cluster.get(LEASE, self._namespace, self._lease.name)
            holder = ((found or {}).get("spec") or {}).get("holderIdentity")
            if found is None or holder != self._lease.identity:
                return False
            change = "replace" if found["metadata"].get("annotations") else "add"
            annotations = {**(found["metadata"].get("annotations") or {}), HEARTBEAT: f"{every:g}"}
            patch = [
                {"op": "test", "path": "/spec/holderIdentity", "value": holder},
                {"op": "replace", "path": "/spec/renewTime", "value": timestamp(self._lease.now())},
                {"op": change, "path": "/metadata/annotations", "value": annotations},
            ]
            self._cluster.patch(LEASE, self._namespace, self._lease.name, patch)
            self.count += 1
        except Conflict:
            return self._beat(every, tries - 1) if tries > 1 else True
        except CanaryError:
            pass
        return True
