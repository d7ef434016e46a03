# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters release_rows and release_seconds: what the clusters of a release ended with, and durations."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils.release import data
from ..module_utils.rollout.metrics_text import sample

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Row = dict[str, t.Any]

_RESULTS: t.Final = (
    "__release_back",
    "__release_finished",
    "__release_state",
    "__release_present",
    "__release_checked",
)
"""Registered results of a host, the last one first."""


def release_rows(
    hosts: Iterable[Mapping[str, t.Any]], form: str = "lines", release: Mapping[str, t.Any] | None = None
) -> t.Any:
    """Return what became of each service in each cluster. hosts: variables of hosts. release: canary_release.

    form: lines (a list of texts), markdown, json or metrics (a text).
    """
    rows = [row for host in hosts for row in _rows(host)]
    if form == "lines":
        return [_line(row) for row in rows]
    described = {name: (release or {}).get(name, "") for name in ("name", "ticket", "on_failure", "waves", "steps")}
    if form == "json":
        return json.dumps({**described, "services": rows}, indent=2) + "\n"
    if form == "markdown":
        return _markdown(described, rows)
    if form == "metrics":
        return _metrics(described, rows)
    raise AnsibleFilterError(f"release_rows: the form {form} is unknown; use lines, markdown, json or metrics.")


def release_seconds(value: t.Any) -> float:
    """Return a duration in seconds. value: a number, or a text such as 30m."""
    try:
        return data.seconds_of(value or 0)
    except (KeyError, ValueError, TypeError, IndexError):
        raise AnsibleFilterError(f"release_seconds: {value} is no duration such as 90s, 30m, 24h or 2d.") from None


def _rows(host: Mapping[str, t.Any]) -> list[Row]:
    found = [host[name] for name in _RESULTS if name in host]
    last: Mapping[str, t.Any] = next((one for one in found if one and not one.get("skipped")), {})
    cluster = str(last.get("cluster") or host.get("inventory_hostname") or "")
    services = last.get("services") or []
    if not services:
        failed = "failed" if last.get("failed") else "not begun"
        return [{"cluster": cluster, "service": "", "result": failed, "msg": str(last.get("msg") or "")}]
    names = ("service", "namespace", "stable", "canary", "result", "rollout", "step", "weight", "msg")
    return [{"cluster": cluster, **{name: one[name] for name in names if name in one}} for one in services]


def _line(row: Row) -> str:
    if not row["service"]:
        return f"{row['cluster']} | {row['result']}" + (f" | {row['msg']}" if row["msg"] else "")
    weight = row.get("weight")
    shown = [
        row["cluster"],
        f"{row['namespace']}/{row['service']} {row['stable']} -> {row['canary']}",
        str(row["result"]).replace("_", " "),
        "" if weight is None else f"{weight:g}%",
        str(row.get("msg") or ""),
    ]
    return " | ".join(one for one in shown if one)


def _metrics(described: Mapping[str, t.Any], rows: list[Row]) -> str:
    """Return the rows in the text format of Prometheus, for node_exporter's textfile collector."""
    results, steps = [], []
    for row in rows:
        labels = {"canary_release": str(described["name"]), "canary_cluster": row["cluster"]}
        if row["service"]:
            labels["destination_service_name"] = row["service"]
            labels["destination_service_namespace"] = row["namespace"]
            steps.append(sample("canary_release_step", labels, float(row.get("step") or 0)))
        results.append(sample("canary_release_result", {**labels, "result": str(row["result"])}, 1.0))
    lines = [
        "# HELP canary_release_result What became of the service in the cluster, in the label result; always 1.",
        "# TYPE canary_release_result gauge",
        *results,
        "# HELP canary_release_step Current step of the service in the cluster, starting at 1; 0 before it.",
        "# TYPE canary_release_step gauge",
        *steps,
    ]
    return "\n".join(lines[: None if steps else len(results) + 2]) + "\n"


def _markdown(described: Mapping[str, t.Any], rows: list[Row]) -> str:
    """Return a matrix of clusters and services, and the sentences below it."""
    services = list(dict.fromkeys(f"{row['namespace']}/{row['service']}" for row in rows if row["service"]))
    clusters = list(dict.fromkeys(row["cluster"] for row in rows))
    cells = {(row["cluster"], f"{row.get('namespace')}/{row['service']}"): str(row["result"]) for row in rows}
    whole = {row["cluster"]: str(row["result"]) for row in rows if not row["service"]}
    ticket = f" ({_cell(described['ticket'])})" if described["ticket"] else ""
    lines = [f"# Release {_cell(described['name'])}{ticket}", ""]
    lines += ["| cluster | " + " | ".join(map(_cell, services)) + " |", "| --- |" + " --- |" * len(services)]
    for cluster in clusters:
        found = [cells.get((cluster, one), whole.get(cluster, "")).replace("_", " ") for one in services]
        lines.append(f"| {_cell(cluster)} | " + " | ".join(map(_cell, found)) + " |")
    lines += ["", *(f"- {_cell(_line(row))}" for row in rows)]
    return "\n".join(lines) + "\n"


def _cell(text: t.Any) -> str:
    """Return a text that Markdown shows as it is."""
    words = " ".join(str(text).split())
    return "".join(f"\\{one}" if one in "\\|*_`[]<>#" else one for one in words)


class FilterModule:
    """Filters of the role release."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"release_rows": release_rows, "release_seconds": release_seconds}
