# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_replicas: a canary whose share of connections is its share of pods, and updates in place."""

from __future__ import annotations

import dataclasses
import typing as t

from ..kube.client import Cluster
from ..task.argument_spec import CONNECTION
from ..writing import replica_pods

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..task.context import Context

SPEC: t.Final = dataclasses.replace(replica_pods.SPEC, options={**CONNECTION, **replica_pods.SPEC.options})
SHOWS_PROGRESS: t.Final = True
"""Pods take minutes: the task shows how far they are, as `kubectl rollout status` does."""


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Bring canary and stable to the requested state. Raises CanaryError."""
    return replica_pods.write_pods(Cluster.connect(params, context.env), params, context)
