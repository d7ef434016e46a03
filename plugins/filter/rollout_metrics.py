# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that turns the report of a rollout into metrics, as Prometheus reads them from a text file."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.rollout.machine import PHASES
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_story as story

Told = Mapping[str, t.Any]
Samples = Iterable[tuple[Mapping[str, str], float]]

NEEDED: t.Final = ("service", "namespace", "stable", "canary", "id", "phase", "events", "plan", "weights", "harmed")
VERDICTS: t.Final = ("pass", "fail", "inconclusive")


def rollout_metrics(report: Told) -> str:
    """Return the report in the text format of Prometheus (version 0.0.4), for node_exporter's textfile collector."""
    if not isinstance(report, Mapping) or (missing := [name for name in NEEDED if name not in report]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(report, Mapping) else f"it is {type(report).__name__}"
        raise AnsibleFilterError(f"rollout_metrics wants what canary_rollout returns as report; {lacks}.")
    # Istio's own names, so that both can be joined; `service` and `namespace` are often those of the scraped target.
    common = {
        "destination_service_name": str(report["service"]),
        "destination_service_namespace": str(report["namespace"]),
    }
    lines: list[str] = []
    for name, kind, explained, samples in _families(report):
        listed = [f"{name}{_labels({**common, **labels})} {_number(value)}" for labels, value in samples]
        if listed:
            lines += [f"# HELP {name} {explained}", f"# TYPE {name} {kind}", *listed]
    return "\n".join(lines) + "\n"


def _families(report: Told) -> Iterable[tuple[str, str, str, Samples]]:
    events = report["events"]
    looked = Counter(dict.fromkeys(VERDICTS, 0))
    for event in events:
        if "verdict" in event:
            looked[str(event["verdict"])] += int(event.get("count") or 1)
    versions = {"stable": report["stable"], "canary": report["canary"]}
    yield (
        "canary_rollout_info",
        "gauge",
        "Which rollout it is; always 1.",
        [({"run": str(report["id"]), **versions}, 1)],
    )
    phases = [({"phase": phase}, float(phase == report["phase"])) for phase in PHASES]
    yield "canary_rollout_phase", "gauge", "1 for the phase the rollout is in, 0 for the others.", phases
    shares = [({"destination_version": str(version)}, float(share)) for version, share in report["weights"].items()]
    yield "canary_rollout_weight_percent", "gauge", "Percent of the requests each version was last given.", shares
    step = int(events[-1].get("step") or 0) + 1 if events else 1
    yield "canary_rollout_step", "gauge", "The step the rollout is at, from 1.", [({}, step)]
    yield "canary_rollout_steps", "gauge", "The steps the rollout has.", [({}, len(report["plan"]["steps"]))]
    told = [({"verdict": name}, number) for name, number in looked.items()]
    yield "canary_rollout_verdicts_total", "counter", "Verdicts of the analysis in this rollout.", told
    harmed: Samples = [({}, float(report["harmed"]))]
    yield "canary_rollout_requests_harmed", "gauge", "Requests the canary failed while it was watched.", harmed
    times = {
        "start": report.get("began"),
        "end": report.get("ended"),
        "last_event": events[-1]["at"] if events else None,
    }
    for name, at in times.items():
        moment: Samples = [({}, story.moment(at))] if at else []
        yield f"canary_rollout_{name}_time_seconds", "gauge", f"Unix time of the rollout's {_words(name)}.", moment


def _words(name: str) -> str:
    return name.replace("_", " ")


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


class FilterModule:
    """Filter of canary_rollout's report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by name."""
        return {"rollout_metrics": rollout_metrics}
