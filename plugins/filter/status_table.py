# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that turn what canary_info returns into lines for people: a table, and findings with what to do."""

from __future__ import annotations

import textwrap
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

Told = Mapping[str, t.Any]

UNKNOWN = "?"
NONE = "-"
WIDTH = 118
HEADINGS = ("VERSION", "WEIGHT", "COHORTS", "READY", "HPA", "CPU", "MEASURED", "REQUESTS", "ERRORS")
BY_PODS = ("DEPLOYMENT", "CONNECTIONS", "READY")
SINCE_START = "SINCE START"
RIGHT = {SINCE_START, "WEIGHT", "CONNECTIONS", "READY", "CPU", "MEASURED", "REQUESTS", "ERRORS"}


def status_table(services: Iterable[Told]) -> list[str]:
    """Return a table for each service, its cohorts below, then what is wrong."""
    lines: list[str] = []
    for service in _entries(services, "status_table", "versions"):
        lines += [""] if lines else []
        lines += [_title(service), *_shares(service)]
        lines += [f"cohort {name}: {cohort['match']}" for name, cohort in service["cohorts"].items()]
        lines += _mirrors(service)
        lines += _rollout(service.get("rollout"))
        lines += [f"note: {note}" for note in service["notes"]]
        lines += [
            f"{one['severity']}: {one['code']}: {one['object']}: {one['reason']}"
            for one in service["findings"]
            if one["severity"] != "note"
        ]
    return lines


def finding_lines(findings: Iterable[Told]) -> list[str]:
    """Return for each finding its code and object, what was seen, and what to do."""
    lines: list[str] = []
    for finding in _entries(findings, "finding_lines", "code"):
        lines.append(f"{str(finding['severity']).upper()} {finding['code']}: {finding['object']}")
        lines += _wrapped("seen: ", finding["reason"])
        lines += _wrapped("do:   ", finding["remedy"])
    return lines


def _entries(given: t.Any, name: str, key: str) -> list[Told]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise AnsibleFilterError(f"{name} wants a list as canary_info returns it, not {type(given).__name__}.")
    for one in given:
        if not isinstance(one, Mapping) or key not in one:
            raise AnsibleFilterError(f"{name}: an entry without {key!r} is not from canary_info.")
    return list(given)


def _title(service: Told) -> str:
    parts = [f"{service['service']} in {service['namespace']}", _counted(service["measured"])]
    proxies = service["proxies"]
    if proxies and proxies["checked"]:
        held = proxies["checked"] if proxies["converged"] is not False else proxies["checked"] - len(proxies["pending"])
        parts.append(f"{held} of {proxies['proxies']} proxies hold the routes")
    else:
        parts.append("proxies not read")
    if service["weights_differ"]:
        parts.append("its routes have different weights")
    return " | ".join(parts)


def _counted(measured: Told | None) -> str:
    if measured is None:
        return "requests not measured"
    span = "since the proxies started" if measured["seconds"] is None else f"in {_span(measured['seconds'])}"
    return f"{measured['requests']} requests {span}, {measured['errors']} errors ({measured['source']})"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 and seconds % 60 == 0 else f"{round(seconds, 1):g} s"


def _shares(service: Told) -> list[str]:
    """Return a line for each version; where no routes tell them apart, for each Deployment."""
    by_pods = [
        [one["deployment"], _percent(one["share"]), f"{one['ready']}/{_number(one['desired'])}"]
        for one in service.get("by_pods") or ()
    ]
    if by_pods and not service["versions"]:
        return _table(by_pods, BY_PODS)
    return _table([_row(one) for one in service["versions"]], _headings(service["measured"]))


def _row(version: Told) -> list[str]:
    hpa, measured = version["hpa"], version["measured"]
    return [
        version["version"] or "all pods",
        _percent(version["weight"]),
        ", ".join(f"{name} {_percent(share)}" for name, share in version["cohorts"].items()) or NONE,
        f"{_number(version['ready'])}/{_number(version['desired'])}",
        f"{hpa['current']} of {hpa['minimum']}-{hpa['maximum']}" if hpa else NONE,
        f"{_percent(hpa['cpu'])}/{_percent(hpa['cpu_target'])}" if hpa else NONE,
        _percent(measured["share"] if measured else None),
        _number(measured["requests"] if measured else None),
        _number(measured["errors"] if measured else None),
    ]


def _mirrors(service: Told) -> list[str]:
    return [
        f"mirror: {_percent(share)} of requests copied to {version}" for version, share in service["mirrors"].items()
    ]


def _rollout(run: Told | None) -> list[str]:
    """Return where the last rollout stands, why, and what there is to do."""
    if not run:
        return []
    phase = str(run["phase"]).replace("_", " ")
    about = f"rollout {run['stable']} -> {run['canary']}: {phase}"
    do = [f"    do:   {one}" for one in run["next"]]  # commands are copied, so they are not wrapped
    if run["over"]:
        why = [] if run["phase"] == "promoted" else _wrapped("why:  ", run["reason"])
        return [f"{about} since {run['since']}", *why, *_wrapped("edit: ", run["drift"]), *do]
    left = "" if run["seconds_left"] is None else f", {run['seconds_left']:.0f} s left"
    held = f"held by {run['holder']} until {run['lease_until']}" if run["holder"] else "held by nobody"
    lines = [
        f"{about}, step {run['step']} of {run['steps']} ({_percent(run['weight'])}), since {run['since']}{left}; {held}"
    ]
    lines += _wrapped("waits for: ", run["waits_for"])
    lines += _wrapped("why:  ", run["reason"])
    lines += _wrapped("edit: ", run["drift"])
    return [*lines, *do]


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{round(value, 2):g}%"


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _headings(measured: Told | None) -> Sequence[str]:
    """Counters as old as the proxies are no measure of the weights of now."""
    old = measured is not None and measured["seconds"] is None
    return [SINCE_START if old and heading == "MEASURED" else heading for heading in HEADINGS]


def _table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> list[str]:
    if not rows:
        return ["no versions"]
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in (headings, *rows):
        cells = [
            cell.rjust(width) if heading in RIGHT else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _wrapped(prefix: str, text: str) -> list[str]:
    """Return the text in lines, none if it is empty; commands stay whole, so that they can be copied."""
    wrapper = textwrap.TextWrapper(
        width=WIDTH,
        initial_indent=f"    {prefix}",
        subsequent_indent=" " * (4 + len(prefix)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.wrap(text)


class FilterModule:
    """Filters of canary_info's results."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"status_table": status_table, "finding_lines": finding_lines}
