# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that converts the report of a rollout to metrics in the text format of Prometheus."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.rollout.metrics_text import metrics_text

Report = Mapping[str, t.Any]

NEEDED: t.Final = (
    "service",
    "namespace",
    "stable",
    "canary",
    "id",
    "phase",
    "events",
    "plan",
    "weights",
    "failed_requests",
)


def rollout_metrics(report: Report) -> str:
    """Return the report in the text format of Prometheus (version 0.0.4), for node_exporter's textfile collector."""
    if not isinstance(report, Mapping) or (missing := [name for name in NEEDED if name not in report]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(report, Mapping) else f"it is {type(report).__name__}"
        raise AnsibleFilterError(f"rollout_metrics requires the report that canary_rollout returns; {lacks}.")
    return metrics_text(report)


class FilterModule:
    """Filter of canary_rollout's report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by name."""
        return {"rollout_metrics": rollout_metrics}
