# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that format the result of canary_info for a terminal: a table, and findings with their remedies."""

from __future__ import annotations

import datetime
import textwrap
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

Result = Mapping[str, t.Any]

UNKNOWN = "?"
NONE = "-"
WIDTH = 118
HEADINGS = ("VERSION", "WEIGHT", "COHORTS", "READY", "HPA", "CPU", "MEASURED", "REQUESTS", "ERRORS", "AGE", "IMAGE")
BRIEF = ("SERVICE", "SHARES", "REQUESTS", "ERRORS", "ROLLOUT", "FINDINGS")
BY_PODS = ("DEPLOYMENT", "CONNECTIONS", "READY")
SINCE_START = "SINCE START"
RIGHT = {"AGE", SINCE_START, "WEIGHT", "CONNECTIONS", "READY", "CPU", "MEASURED", "REQUESTS", "ERRORS"}


def status_table(services: Iterable[Result], brief: bool = False) -> list[str]:
    """Return a table for each service, followed by its cohorts, its rollout and its findings. brief: one line each."""
    lines: list[str] = []
    if brief:
        return _table([_brief(one) for one in _entries(services, "status_table", "versions")], BRIEF)
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


def finding_lines(findings: Iterable[Result]) -> list[str]:
    """Return the code, object, reason and remedy of each finding."""
    lines: list[str] = []
    for finding in _entries(findings, "finding_lines", "code"):
        lines.append(f"{str(finding['severity']).upper()} {finding['code']}: {finding['object']}")
        lines += _wrapped("reason: ", finding["reason"])
        lines += _wrapped("fix:    ", finding["remedy"])
    return lines


def _entries(given: t.Any, name: str, key: str) -> list[Result]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise AnsibleFilterError(f"{name} requires a list as returned by canary_info, not {type(given).__name__}.")
    for one in given:
        if not isinstance(one, Mapping) or key not in one:
            raise AnsibleFilterError(f"{name}: an entry has no {key!r}, so it is not from canary_info.")
    return list(given)


def _brief(service: Result) -> list[str]:
    """Return the cells of one service: shares, requests, rollout, and the number of its findings."""
    shares = [
        f"{one['version'] or 'all pods'} {_percent(one['weight'])}" for one in service["versions"] if one["weight"]
    ]
    shares = shares or [f"{one['deployment']} {_percent(one['share'])}" for one in service.get("by_pods") or ()]
    measured, run = service["measured"], service.get("rollout")
    rollout = NONE
    if run:
        step = "" if run["over"] else f", step {run['step']} of {run['steps']}"
        drift = ", external change" if run["drift"] else ""
        rollout = f"{run['stable']} -> {run['canary']}: {str(run['phase']).replace('_', ' ')}{step}{drift}"
    severe = [one["code"] for one in service["findings"] if one["severity"] == "error"]
    warnings = sum(one["severity"] == "warning" for one in service["findings"])
    found = [*dict.fromkeys(severe), *([f"{warnings} warning{'s' if warnings > 1 else ''}"] if warnings else [])]
    return [
        str(service["service"]),
        ", ".join(shares) or NONE,
        _number(measured["requests"] if measured else None),
        _number(measured["errors"] if measured else None),
        rollout,
        ", ".join(found) or NONE,
    ]


def _title(service: Result) -> str:
    parts = [f"{service['service']} in {service['namespace']}", _counted(service["measured"])]
    proxies = service["proxies"]
    if proxies and proxies["checked"]:
        pending = len(proxies["pending"]) if proxies["converged"] is False else 0
        parts.append(f"{proxies['checked'] - pending} of {proxies['proxies']} proxies have the routes")
    else:
        parts.append("proxies not read")
    if service["weights_differ"]:
        parts.append("its routes have different weights")
    return " | ".join(parts)


def _counted(measured: Result | None) -> str:
    if measured is None:
        return "requests not measured"
    span = "since the proxies started" if measured["seconds"] is None else f"in {_span(measured['seconds'])}"
    return f"{measured['requests']} requests {span}, {measured['errors']} errors ({measured['source']})"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 and seconds % 60 == 0 else f"{round(seconds, 1):g} s"


def _shares(service: Result) -> list[str]:
    """Return a line for each version, or for each Deployment if there are no routes."""
    by_pods = [
        [one["deployment"], _percent(one["share"]), f"{one['ready']}/{_number(one['desired'])}"]
        for one in service.get("by_pods") or ()
    ]
    if by_pods and not service["versions"]:
        return _table(by_pods, BY_PODS)
    return _table([_row(one) for one in service["versions"]], _headings(service["measured"]))


def _row(version: Result) -> list[str]:
    hpa, measured = version["hpa"], version["measured"]
    return [
        version["version"] or (UNKNOWN if version["ready"] is None and version["weight"] == 0 else "all pods"),
        _percent(version["weight"]),
        ", ".join(f"{name} {_percent(share)}" for name, share in version["cohorts"].items()) or NONE,
        f"{_number(version['ready'])}/{_number(version['desired'])}",
        f"{hpa['current']} of {hpa['minimum']}-{hpa['maximum']}" if hpa else NONE,
        f"{_percent(hpa['cpu'])}/{_percent(hpa['cpu_target'])}" if hpa else NONE,
        _percent(measured["share"] if measured else None),
        _number(measured["requests"] if measured else None),
        _number(measured["errors"] if measured else None),
        _age(version.get("since")),
        ", ".join(str(image).rpartition("/")[2] for image in version.get("images") or ()) or NONE,
    ]


def _age(since: str | None) -> str:
    """Return the age as kubectl shows it."""
    if not since:
        return NONE
    then = datetime.datetime.fromisoformat(since.replace("Z", "+00:00"))
    seconds = max(0.0, (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _mirrors(service: Result) -> list[str]:
    return [
        f"mirror: {_percent(share)} of requests copied to {version}" for version, share in service["mirrors"].items()
    ]


def _rollout(run: Result | None) -> list[str]:
    """Return the state of the last rollout, its reason, and the next commands."""
    if not run:
        return []
    phase = str(run["phase"]).replace("_", " ")
    title = f"rollout {run['stable']} -> {run['canary']}: {phase}"
    commands = [f"    next:   {one}" for one in run["next"]]  # not wrapped, so that they can be copied
    if run["over"]:
        reason = [] if run["phase"] == "promoted" else _wrapped("reason: ", run["reason"])
        return [f"{title} since {run['since']}", *reason, *_wrapped("drift:  ", run["drift"]), *commands]
    left = "" if run["seconds_left"] is None else f", {run['seconds_left']:.0f} s left"
    lock = f"locked by {run['holder']} until {run['lease_until']}" if run["holder"] else "not locked"
    lines = [
        f"{title}, step {run['step']} of {run['steps']} ({_percent(run['weight'])}), since {run['since']}{left}; {lock}"
    ]
    lines += _wrapped("waits for: ", run["waits_for"])
    lines += _wrapped("reason: ", run["reason"])
    lines += _wrapped("drift:  ", run["drift"])
    return [*lines, *commands]


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{round(value, 2):g}%"


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _headings(measured: Result | None) -> Sequence[str]:
    """Return the headings; counters since the start of the proxies do not measure the current weights."""
    since_start = measured is not None and measured["seconds"] is None
    return [SINCE_START if since_start and heading == "MEASURED" else heading for heading in HEADINGS]


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
    """Return the text in lines, none if it is empty; long words are kept whole, so that commands can be copied."""
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
