# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of metrics: one row each. Who adds a kind adds a row, an evaluator and its documentation. Pure."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from ..errors import InvalidInput
from .codes_evaluator import CodesEvaluator
from .evaluators import ErrorEvaluator, LatencyEvaluator, RateEvaluator, ValueEvaluator
from .intervals import MetricSpec
from .metrics import Metric, judge_check
from .response_codes import is_group
from .sizes_evaluator import SizesEvaluator
from .stalled_evaluator import StalledEvaluator

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .intervals import Evaluator, Evidence

BOUNDS: t.Final = ("limit", "floor", "max_ratio")


@dataclass(frozen=True)
class MetricKind:
    """One kind of metric.

    evaluator: makes the evaluator of a metric. default: the metric of this kind where none are named, None for none;
    with alarm_only it can then only raise alarms. own: options that only this kind has.
    source: options that only this kind has, of which it needs exactly one. bounds: those of BOUNDS that it may have.
    needs_bound: without one nothing would be judged. compares: `may` with stable, so without compare it needs a limit;
    `must`; or `no`, which ignores compare. min_limit: smallest limit. in_flight: it needs requests in flight.
    reads_sizes: it needs the sizes of answers.
    """

    evaluator: t.Callable[[MetricSpec, Evidence], Evaluator]
    default: Metric | None = None
    source: tuple[str, ...] = ()
    bounds: tuple[str, ...] = BOUNDS
    needs_bound: bool = False
    compares: t.Literal["may", "must", "no"] = "no"
    min_limit: float = float("-inf")
    in_flight: bool = False
    reads_sizes: bool = False
    alarm_only: bool = False
    own: tuple[str, ...] = ()


KINDS: t.Final[Mapping[str, MetricKind]] = {
    "errors": MetricKind(
        ErrorEvaluator, Metric("errors", critical=True), bounds=("limit", "max_ratio"), compares="may"
    ),
    "latency": MetricKind(
        LatencyEvaluator, Metric("latency", min_requests=50), bounds=("limit", "max_ratio"), compares="may"
    ),
    "stalled": MetricKind(
        StalledEvaluator,
        Metric("stalled", critical=True),
        bounds=("limit",),
        compares="must",
        min_limit=0.5,
        in_flight=True,
    ),
    "codes": MetricKind(
        CodesEvaluator,
        Metric("codes", critical=True),
        bounds=("max_ratio",),
        compares="must",
        alarm_only=True,
        own=("ignore", "verdict"),
    ),
    "sizes": MetricKind(SizesEvaluator, bounds=("max_ratio",), compares="must", own=("verdict",), reads_sizes=True),
    "rate": MetricKind(RateEvaluator, needs_bound=True),
    "value": MetricKind(ValueEvaluator, source=("query", "value"), needs_bound=True),
    "http": MetricKind(functools.partial(ValueEvaluator, judge=judge_check), source=("url",), bounds=()),
}

DEFAULT_METRICS: t.Final = tuple(
    MetricSpec(kind.default, name, alarm_only=kind.alarm_only) for name, kind in KINDS.items() if kind.default
)


def check(where: str, name: str, options: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for options that do not fit the kind `name`. where: how messages call the metric."""
    kind = KINDS[name]
    _check_source(where, name, options)
    _check_own(where, name, options)
    given = [option for option in BOUNDS if options[option] is not None]
    for option in given:
        if option not in kind.bounds:
            fitting = ", ".join(other for other, one in KINDS.items() if option in one.bounds)
            raise InvalidInput(f"{where}.{option}: kind {name} has no {option}; it is for metrics of kind {fitting}.")
    if kind.needs_bound and not given:
        raise InvalidInput(f"{where}: set {', '.join(kind.bounds[:-1])} or {kind.bounds[-1]} to judge the number by.")
    limit = options["limit"]
    if limit is not None and limit < kind.min_limit:
        raise InvalidInput(f"{where}.limit must be at least {kind.min_limit:g} for kind {name}, not {limit:g}.")
    if kind.compares == "must" and not options["compare"]:
        raise InvalidInput(f"{where}.compare: kind {name} always compares with stable.")
    if kind.compares == "may" and not options["compare"] and limit is None:
        raise InvalidInput(f"{where}: without compare a limit is needed, or nothing would be judged.")


def _check_source(where: str, name: str, options: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput unless exactly one source of the kind is set, and none of another kind."""
    for other, kind in KINDS.items():
        for option in kind.source if other != name else ():
            if options[option] not in (None, ""):
                raise InvalidInput(f"{where}.{option}: only metrics of kind {other} have a {option}.")
    source = KINDS[name].source
    if source and sum(options[option] not in (None, "") for option in source) != 1:
        raise InvalidInput(f"{where}: a metric of kind {name} needs a {' or a '.join(source)}.")


def _check_own(where: str, name: str, options: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for an option that only another kind has, and for a group of codes that does not exist."""
    for option in sorted({option for kind in KINDS.values() for option in kind.own} - {*KINDS[name].own}):
        if options.get(option):
            having = " and ".join(other for other, kind in KINDS.items() if option in kind.own)
            raise InvalidInput(f"{where}.{option}: only metrics of kind {having} have {option}.")
    for group in options.get("ignore") or ():
        if not is_group(group):
            raise InvalidInput(
                f"{where}.ignore: {group!r} is no group of codes that is compared. There are 1xx, 2xx, 3xx, 4xx, each "
                "code of 4xx (as 404), grpc, and each gRPC status that is the caller's fault (as grpc 5). Codes of 5xx "
                "are judged by metrics of kind errors."
            )
