# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Grafana dashboard asks for metrics that the collection uses or makes, by labels they have."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.filter.rollout_metrics import rollout_metrics
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, traffic

DASHBOARD = json.loads((Path(__file__).resolve().parents[3] / "docs" / "grafana-dashboard.json").read_text("utf-8"))
REPORT = {
    "service": "reviews", "namespace": "shop", "stable": "v1", "canary": "v2", "id": "ab12", "phase": "promoted",
    "plan": {"steps": [{}]}, "weights": {"v1": 0.0, "v2": 100.0}, "failed_requests": 0,
    "began": "2026-11-22T12:00:00Z", "ended": "2026-11-22T12:10:00Z",
    "events": [{"event": "done", "at": "2026-11-22T12:10:00Z", "step": 0}],
}  # fmt: skip
OURS = {
    found[1]: set(re.findall(r'(\w+)="', found[2]))
    for found in re.finditer(r"^(canary_\w+)\{(.*)\} ", rollout_metrics(REPORT), flags=re.MULTILINE)
}
ISTIO_METRICS = {
    "reporter",
    "destination_service_name",
    "destination_service_namespace",
    "destination_version",
    "response_code",
}
KNOWN = {**OURS, traffic.ISTIO: ISTIO_METRICS, counter_deltas.ISTIO_TIME: {*ISTIO_METRICS, "le"}}


def queries() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    notes = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    return panels + notes + [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]


@pytest.mark.parametrize("query", queries())
def test_each_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    requested = re.findall(r"(\w+)\{([^}]*)\}", query)
    assert requested, query
    for metric, labels in requested:
        assert metric in KNOWN
        assert set(re.findall(r"(\w+)=", labels)) <= KNOWN[metric]
    stripped = re.sub(r"\{[^}]*\}", "{}", query)
    assert set(re.findall(r"\b(?:istio|canary)_\w+", stripped)) == {metric for metric, _labels in requested}
    assert stripped.count("(") == stripped.count(")")


def test_everything_a_rollout_says_is_shown() -> None:
    shown = set(re.findall(r"\bcanary_\w+", " ".join(queries())))
    assert set(OURS) - shown == {"canary_rollout_last_event_time_seconds"}


def test_versions_shares_errors_and_times_come_from_istio() -> None:
    titles = {panel["title"]: " ".join(target["expr"] for target in panel["targets"]) for panel in DASHBOARD["panels"]}
    assert traffic.ISTIO in titles["Share of requests"]
    assert "canary_rollout_weight_percent" in titles["Share of requests"]
    assert 'response_code=~"5.."' in titles["Failed requests"]
    assert counter_deltas.ISTIO_TIME in titles["Response times"]
    assert any("canary_rollout_phase" in one["expr"] for one in DASHBOARD["annotations"]["list"])


def test_it_can_be_imported_beside_any_prometheus() -> None:
    panels: list[dict[str, t.Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    chosen = [*panels, *(target for panel in panels for target in panel["targets"]), *DASHBOARD["annotations"]["list"]]
    assert {one["datasource"]["uid"] for one in chosen} == {"${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        assert max(x for x, _y in cells) < 24
        taken |= cells
