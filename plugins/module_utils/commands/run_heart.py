# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heart of a rollout: renews its Lease beside the playbook, through every long wait, and stops when that does.

It runs as an asynchronous task, a process of its own, and looks for the playbook's process before each beat: one that
was killed is silent from then on, as is a machine that is gone.
"""

from __future__ import annotations

import time
import typing as t

from ..cluster_resources import LEASE
from ..errors import ApiError, Conflict, InvalidInput
from .lease import BEATS, PROCESS, is_dead, stamp_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..cluster import Cluster
    from .lease import Lease

A_BEAT_OF: t.Final = 4.0
"""Beats in the time after which silence is death, so that one that is lost is not enough."""


def keep(
    cluster: Cluster,
    lease: Lease,
    namespace: str,
    after: float,
    log: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, t.Any]:
    """Beat until the playbook ends or somebody else has the lock; return how often, and why it ended.

    lease: of the holder to beat for. after: seconds of silence that count as death. An API server that does not answer
    is asked again at the next beat. Raises InvalidInput if it cannot be told whether the playbook lives.
    """
    beats = 0
    while True:
        try:
            ended = _beat(cluster, lease, namespace, after / A_BEAT_OF)
            if ended:
                return {"changed": beats > 0, "beats": beats, "msg": ended}
            beats += 1
        except ApiError as error:
            log(f"A beat was lost: {error.msg}")
        sleep(after / A_BEAT_OF)


def _beat(cluster: Cluster, lease: Lease, namespace: str, every: float) -> str:
    """Renew once; return why that is over, empty if it is not."""
    found = cluster.get(LEASE, namespace, lease.name)
    holder = ((found or {}).get("spec") or {}).get("holderIdentity")
    if found is None or holder != lease.identity:
        return f"{lease.identity} does not hold the lock any more."
    notes = found["metadata"].get("annotations") or {}
    process = notes.get(PROCESS, "")
    if not process:
        raise InvalidInput(
            f"state kept: the Lease {namespace}/{lease.name} does not name the process of {lease.identity}, so nobody "
            "can tell whether it lives. The lock then lasts lease_seconds, and a dead man waits as long."
        )
    if is_dead(process):
        return f"{lease.identity} is no more."
    patch = [
        {"op": "test", "path": "/spec/holderIdentity", "value": holder},
        {"op": "test", "path": f"/metadata/annotations/{PROCESS.replace('/', '~1')}", "value": process},
        {"op": "replace", "path": "/spec/renewTime", "value": stamp_of(lease.now())},
        {"op": "add", "path": f"/metadata/annotations/{BEATS.replace('/', '~1')}", "value": f"{every:g}"},
    ]
    try:
        cluster.patch(LEASE, namespace, lease.name, patch)
    except Conflict:
        return _beat(cluster, lease, namespace, every)
    return ""
