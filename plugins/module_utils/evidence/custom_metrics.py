# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Custom metrics, one number per measurement: by PromQL, by an HTTP check, or given with the task."""

from __future__ import annotations

import typing as t

from ..analysis.kinds import KINDS
from ..errors import ApiError
from ..objects.linear_regex import Undecided
from . import probes
from .analysis_options import check_queries

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.intervals import ValuePair
    from .notes import Notes
    from .proxy_source import Source

    MetricOptions = Mapping[str, t.Any]
    ValueQuery: t.TypeAlias = "Callable[[float | None], ValuePair]"
    """Returns the canary's number and stable's at a time (Unix time, None for now). Raises CanaryError."""

DEFAULT_STATUS: t.Final = range(200, 400)


def value_queries(
    metrics: Sequence[MetricOptions] | None, source: Source, canary: str, stable: str
) -> dict[str, ValueQuery]:
    """Return metric -> the function that returns its numbers. Raises InvalidInput for a query without Prometheus."""
    check_queries(metrics, source.name)
    found: dict[str, ValueQuery] = {}
    for one in metrics or ():
        if KINDS[one["kind"]].in_flight and not source.reads_in_flight:
            source.notes.append(
                f"{one['name']}: Prometheus knows the requests that callers canceled, but not those in flight; only "
                "proxies know them, and only of the present."
            )
        if one["kind"] == "http":
            found[one["name"]] = _check(one, source.notes)
        elif one["query"]:
            found[one["name"]] = _query(one, source, canary, stable)
        elif one["kind"] == "value":
            pair = (one["value"], one["stable_value"])
            found[one["name"]] = lambda _at, pair=pair: pair  # type: ignore[misc]
    return found


def _query(one: MetricOptions, source: Source, canary: str, stable: str) -> ValueQuery:
    def query_value(at: float | None) -> ValuePair:
        mine = source.query_value(one["query"], canary, at)
        return mine, source.query_value(one["query"], stable, at) if one["max_ratio"] is not None else None

    return query_value


def _check(one: MetricOptions, notes: Notes) -> ValueQuery:
    """Return a function that returns 1 if the check passes, else 0; None for the past, which cannot be checked."""
    where = f"metrics[{one['name']}]"
    get, pattern = probes.http_probe(one, where), probes.expression_of(f"{where}.pattern", one["pattern"] or "")

    def query_value(at: float | None) -> ValuePair:
        if at is not None:
            return None, None
        try:
            answer = get()
            status = int(answer.split("\n", 1)[0])
            if status in (one["status"] or DEFAULT_STATUS) and pattern.search(answer):
                return 1.0, None
            failure = f"{one['url']} answered {answer[:200]!r}"
        except ApiError as error:
            failure = error.msg
        except Undecided as error:
            failure = f"it cannot be decided whether the answer has {one['pattern']!r}: {error}"
        notes.add_once(f"{one['name']}: ", f"{one['name']}: {failure}")
        return 0.0, None

    return query_value
