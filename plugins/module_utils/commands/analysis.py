# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_analysis: compares the canary with stable and returns pass, fail or inconclusive. Changes nothing."""

from __future__ import annotations

import dataclasses
import typing as t

from ..evidence import analysis
from ..kube.client import Cluster
from ..task.argument_spec import CONNECTION

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..task.context import Context

SPEC: t.Final = dataclasses.replace(analysis.SPEC, options={**CONNECTION, **analysis.SPEC.options})


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Measure, judge, and return the verdict. Raises CanaryError where nothing could be read at all."""
    return analysis.analyze(Cluster.connect(params, context.env), params, context)
