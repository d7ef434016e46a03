# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a rollout as metrics in the text format of Prometheus. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Iterable, Mapping

from . import report_data as data
from .state_machine import PHASES

Report = Mapping[str, t.Any]
Samples = Iterable[tuple[Mapping[str, str], float]]

VERDICTS: t.Final = ("pass", "fail", "inconclusive")


def metrics_text(report: Report) -> str:
    """Return the report in the text format of Prometheus (version 0.0.4), for node_exporter's textfile collector."""
    # Istio's label names, for joins; Prometheus often sets `service` and `namespace` to those of the scraped target.
    common = {
        "destination_service_name": str(report["service"]),
        "destination_service_namespace": str(report["namespace"]),
    }
    lines: list[str] = []
    for name, kind, description, samples in _families(report):
        listed = [sample(name, {**common, **labels}, value) for labels, value in samples]
        if listed:
            lines += [f"# HELP {name} {description}", f"# TYPE {name} {kind}", *listed]
    return "\n".join(lines) + "\n"


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """Return one line of the format."""
    return f"{name}{_labels(labels)} {_number(value)}"


def _families(report: Report) -> Iterable[tuple[str, str, str, Samples]]:
    events = report["events"]
    verdicts = Counter(dict.fromkeys(VERDICTS, 0))
    for event in events:
        if "verdict" in event:
            verdicts[str(event["verdict"])] += int(event.get("count") or 1)
    versions = {"stable": report["stable"], "canary": report["canary"]}
    yield (
        "canary_rollout_info",
        "gauge",
        "Labels of the rollout; always 1.",
        [({"run": str(report["id"]), **versions}, 1)],
    )
    phases = [({"phase": phase}, float(phase == report["phase"])) for phase in PHASES]
    yield "canary_rollout_phase", "gauge", "1 for the current phase of the rollout, 0 for all others.", phases
    shares = [({"destination_version": str(version)}, float(share)) for version, share in report["weights"].items()]
    yield (
        "canary_rollout_weight_percent",
        "gauge",
        "Current weight of each version, in percent.",
        shares,
    )
    step = int(events[-1].get("step") or 0) + 1 if events else 1
    yield "canary_rollout_step", "gauge", "Current step of the rollout, starting at 1.", [({}, step)]
    yield "canary_rollout_steps", "gauge", "Number of steps of the rollout.", [({}, len(report["plan"]["steps"]))]
    counts = [({"verdict": name}, number) for name, number in verdicts.items()]
    yield "canary_rollout_verdicts_total", "counter", "Verdicts of the analysis in this rollout.", counts
    failed_requests: Samples = [({}, float(report["failed_requests"]))]
    yield (
        "canary_rollout_failed_requests",
        "gauge",
        "Failed requests of the canary.",
        failed_requests,
    )
    times = {
        "start": report.get("began"),
        "end": report.get("ended"),
        "last_event": events[-1]["at"] if events else None,
    }
    for name, at in times.items():
        sample: Samples = [({}, data.timestamp(at))] if at else []
        yield (
            f"canary_rollout_{name}_time_seconds",
            "gauge",
            f"Unix time of the rollout's {name.replace('_', ' ')}.",
            sample,
        )


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
