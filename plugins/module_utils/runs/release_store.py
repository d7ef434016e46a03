# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a release in one cluster: the ConfigMap `canary-release-NAME`. See release/record.py: it is a hint."""

from __future__ import annotations

import copy
import datetime
import typing as t
from dataclasses import replace

from ..errors import Conflict
from ..kube.resources import CONFIG_MAP
from ..objects.patch import guarded_patch
from ..objects.plain_text import plain_text
from ..release import record
from .lock import MANAGED

if t.TYPE_CHECKING:
    from ..kube.client import Cluster
    from ..release.data import Release
    from ..release.record import Phase, ReleaseRecord

    Object = dict[str, t.Any]

_KEY: t.Final = "release"


class ReleaseStore:
    """Reads and writes the record. cluster_name: as people call the cluster. by: who writes."""

    def __init__(self, cluster: Cluster, release: Release, cluster_name: str, by: str) -> None:
        self._cluster, self._release, self._cluster_name, self._by = cluster, release, cluster_name, by
        self.name = record.object_name(release.name)
        self._obj: Object | None = None

    @property
    def object(self) -> str:
        """Return the name of the ConfigMap for messages."""
        return f"ConfigMap {self._release.namespace}/{self.name}"

    def read(self) -> ReleaseRecord | None:
        """Return the record, None without one. Raises Refused if it is not readable, ApiError."""
        self._obj = self._cluster.get(CONFIG_MAP, self._release.namespace, self.name)
        if self._obj is None:
            return None
        return record.parse((self._obj.get("data") or {}).get(_KEY), self.object)

    def write(self, phase: Phase, reason: str, *, wave: str = "", rollouts: dict[str, str] | None = None) -> bool:
        """Write that the release is in a phase; return whether that changed anything.

        A release that begins anew keeps what was decided before. Raises Refused, Conflict, ApiError.
        """
        before, now = self.read(), self._now()
        known = before or record.first(self._release, self._cluster_name, wave, now.timestamp())
        changes: dict[str, t.Any] = {
            "cluster": self._cluster_name,
            "ticket": self._release.ticket,
            "waves": self._release.waves,
            "wave": wave or known.wave,
            "rollouts": {**known.rollouts, **(rollouts or {})},
        }
        known = replace(known, **changes)
        if before == known and before.phase == phase:
            return False
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        after = known.moved(phase, now.timestamp(), at, self._by, plain_text(reason))
        self._put(record.dump(after))
        return True

    def now(self) -> float:
        """Return the API server's time, in Unix seconds."""
        return self._now().timestamp()

    def _now(self) -> datetime.datetime:
        return self._cluster.server_time or datetime.datetime.now(datetime.timezone.utc)

    def _put(self, text: str) -> None:
        namespace = self._release.namespace
        labels = {**MANAGED, record.LABEL: self._release.name}
        try:
            if self._obj is None:
                metadata = {"name": self.name, "namespace": namespace, "labels": labels}
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_KEY: text}}
                self._cluster.create(CONFIG_MAP, namespace, body)
                return
            after = copy.deepcopy(self._obj)
            after["data"] = {**(after.get("data") or {}), _KEY: text}
            self._cluster.patch(CONFIG_MAP, namespace, self.name, guarded_patch(self._obj, after), after=after)
        except Conflict as error:
            raise Conflict(
                f"Conflict: {self.object} was changed after this task read it: the release {self._release.name} runs "
                "twice at the same time. Stop one of them and run the other again."
            ) from error
