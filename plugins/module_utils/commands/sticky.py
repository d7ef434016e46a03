# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_sticky: users keep the version they were first dealt, by a cookie."""

from __future__ import annotations

import typing as t

from ..cluster import Cluster
from ..routes import plan
from .apply import apply
from .argspec import CONNECTION, SCOPE, SERVICE, STATE, WAIT, WRITE, ArgSpec
from .reading import scope_of, service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.change import Plan
    from ..routes.snapshot import Snapshot

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **SERVICE,
        **SCOPE,
        **WRITE,
        **WAIT,
        **STATE,
        "cookie": {"type": "str"},
        "max_age": {"type": "int", "default": 86400},
        "path": {"type": "str", "default": "/"},
    },
)


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Let users keep their version, or deal them anew. Raises CanaryError."""
    cluster, service, scope = Cluster.connect(params, env), service_of(params), scope_of(params)

    def decide(snapshot: Snapshot) -> Plan:
        api = params["route_api"]
        if params["state"] == "absent":
            return plan.plan_sticky_absent(snapshot, service, scope=scope, api=api)
        return plan.plan_sticky(
            snapshot,
            service,
            cookie=params["cookie"] or "",
            max_age=params["max_age"],
            path=params["path"],
            scope=scope,
            api=api,
        )

    return apply(cluster, service, decide, params, check_mode=check_mode, log=log)
