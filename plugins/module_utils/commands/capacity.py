# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_capacity: the pods for a share, before the share comes."""

from __future__ import annotations

import dataclasses
import typing as t

from ..kube.client import Cluster
from ..task.argument_spec import CONNECTION
from ..writing import capacity

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..task.context import Context

SPEC: t.Final = dataclasses.replace(capacity.SPEC, options={**CONNECTION, **capacity.SPEC.options})
SHOWS_PROGRESS: t.Final = True
"""Pods take a while: the task shows how far they are."""


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Scale a version up and wait for its pods, scale it down, or restore minReplicas. Raises CanaryError."""
    return capacity.write_capacity(Cluster.connect(params, context.env), params, context)
