# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_mirror: copies of a share of the requests, their answers discarded."""

from __future__ import annotations

import typing as t

from ..kube.client import Cluster
from ..objects.intents import RemoveMirror, SetMirror
from ..routing import plan
from ..task.argument_spec import CONNECTION, SCOPE, SERVICE, STATE, WAIT, WRITE, ArgSpec
from ..task.reading import api_of, scope_of, service_of
from ..writing.apply import apply

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..objects.change import Plan
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **SERVICE,
        **SCOPE,
        **WRITE,
        **WAIT,
        **STATE,
        "version": {"type": "str"},
        "percent": {"type": "float", "default": 100.0},
    },
    required_if=[("state", "present", ["version"])],
)


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Mirror requests, or end it. Raises CanaryError."""
    cluster, service, scope = Cluster.connect(params, context.env), service_of(params), scope_of(params)
    intent = RemoveMirror() if params["state"] == "absent" else SetMirror(params["version"], params["percent"])

    def decide(snapshot: Snapshot) -> Plan:
        return plan.plan(snapshot, service, intent, scope=scope, api=api_of(params))

    return apply(cluster, service, decide, params, check_mode=context.check_mode, log=context.log)
