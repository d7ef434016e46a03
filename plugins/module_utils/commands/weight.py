# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_weight: the shares of a service's versions."""

from __future__ import annotations

import dataclasses
import typing as t

from ..kube.client import Cluster
from ..runs.record_store import active_run_check
from ..task.argument_spec import CONNECTION
from ..task.reading import service_of
from ..writing import routes

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..task.context import Context

SPEC: t.Final = dataclasses.replace(
    routes.WEIGHT_SPEC, options={**CONNECTION, **routes.WEIGHT_SPEC.options, "rollout": {"type": "str"}}
)


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Set the weights, or restore the route as it was. Raises CanaryError."""
    cluster = Cluster.connect(params, context.env)
    check = active_run_check(cluster, service_of(params), params["rollout"])
    return routes.write_weights(cluster, params, context, check)
