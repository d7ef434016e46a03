# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an analysis asks: its metrics, from options to the words of the judges, each checked before anything is read."""

from __future__ import annotations

import math
import re
import typing as t

from ..analysis.looks import Question
from ..analysis.metrics import Metric
from ..analysis.watching import Observation
from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .argspec import Options

    Asked = Mapping[str, t.Any]

OPTIONS: t.Final[Options] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True, "choices": ["errors", "latency", "hanging", "rate", "value", "http"]},
    "query": {"type": "str"},
    "value": {"type": "float"},
    "stable_value": {"type": "float"},
    "url": {"type": "str"},
    "status": {"type": "list", "elements": "int"},
    "pattern": {"type": "str"},
    "headers": {"type": "dict", "default": {}},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 5.0},
    "limit": {"type": "float"},
    "floor": {"type": "float"},
    "max_ratio": {"type": "float"},
    "compare": {"type": "bool", "default": True},
    "quantile": {"type": "float", "default": 0.95},
    "effect": {"type": "float", "default": 0.6},
    "slack": {"type": "float"},
    "alpha": {"type": "float", "default": 0.01},
    "min_requests": {"type": "int", "default": 100},
    "consecutive": {"type": "int", "default": 3},
    "missing": {"type": "int", "default": 0},
    "unanswered": {"type": "int", "default": 0},
    "weight": {"type": "float", "default": 1.0},
    "critical": {"type": "bool", "default": False},
}
DEFAULT: t.Final = (
    Question(Metric("errors", critical=True), "errors"),
    Question(Metric("latency", min_requests=50), "latency"),
    Question(Metric("hanging", critical=True), "hanging"),
)
LEAST_PATIENCE: t.Final = 0.5
# Option, and the numbers it may be: above, up to.
_BOUNDS: t.Final[dict[str, tuple[float, float]]] = {
    "alpha": (0.0, 0.5),
    "quantile": (0.0, 0.9999),
    "effect": (0.4999, 1.0),
    "min_requests": (0, 10_000_000),
    "consecutive": (0, 1000),
    "missing": (-1, 100_000),
    "unanswered": (-1, 100_000),
    "timeout": (0.0, 60.0),
    "weight": (0.0, math.inf),
    "max_ratio": (0.0, math.inf),
    "slack": (-1.0, math.inf),
}
_OF_METRIC: t.Final = (
    "name",
    "alpha",
    "min_requests",
    "limit",
    "floor",
    "max_ratio",
    "effect",
    "slack",
    "compare",
    "quantile",
    "weight",
    "critical",
)


def questions(metrics: Sequence[Asked] | None) -> tuple[Question, ...]:
    """Return the metrics to judge; failed requests and response times where none are named. Raises InvalidInput."""
    if metrics is None:
        return DEFAULT
    if not metrics:
        raise InvalidInput("metrics is empty: name at least one metric, or leave the option out.")
    names = [one["name"] for one in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"metrics: {', '.join(twice)} is named twice; each metric needs a name of its own.")
    return tuple(_question(one) for one in metrics)


def evidence(given: Mapping[str, t.Any]) -> dict[str, list[float]]:
    """Return the evidence of a watch before. Raises InvalidInput if it is not what a task returned."""
    try:
        return {str(name): [float(number) for number in state] for name, state in given.items()}
    except (TypeError, ValueError):
        raise _strange() from None


def observation(asked: Sequence[Question], canary: str, stable: str, before: Mapping[str, list[float]]) -> Observation:
    """Return the memory of a watch. Raises InvalidInput for evidence of other metrics."""
    try:
        return Observation(asked, canary, stable, before)
    except (ValueError, IndexError):
        raise _strange() from None


def _strange() -> InvalidInput:
    return InvalidInput(
        "evidence: this is not what canary_analysis returned under that name for the same metrics. "
        "Give it back unchanged, or leave it out to begin anew."
    )


def _question(one: Asked) -> Question:
    where = f"metrics[{one['name']}]"
    for option, (above, most) in _BOUNDS.items():
        value = one[option]
        if value is not None and not above < value <= most:
            raise InvalidInput(f"{where}.{option} must be above {above:g} and at most {most:g}, not {value:g}.")
    kind, bounds = one["kind"], [name for name in ("limit", "floor", "max_ratio") if one[name] is not None]
    given = bool(one["query"]) + (one["value"] is not None)
    if given != (kind == "value"):
        raise InvalidInput(f"{where}: a metric of kind value needs a query or a value; only such a one can have it.")
    if (kind == "http") != bool(one["url"]):
        raise InvalidInput(f"{where}: a metric of kind http needs a url, and only such a one can have it.")
    if kind in ("value", "rate") and not bounds:
        raise InvalidInput(f"{where}: set limit, floor or max_ratio; a number alone is neither good nor bad.")
    if kind == "http" and bounds:
        raise InvalidInput(f"{where}: kind http has no {bounds[0]}; status and pattern say what is good.")
    if kind == "hanging" and (one["max_ratio"] is not None or one["floor"] is not None or not one["compare"]):
        raise InvalidInput(f"{where}: kind hanging has a limit in seconds alone, and always compares with stable.")
    if kind == "hanging" and one["limit"] is not None and one["limit"] < LEAST_PATIENCE:
        raise InvalidInput(f"{where}.limit must be at least {LEAST_PATIENCE:g} seconds, not {one['limit']:g}.")
    if kind in ("errors", "latency") and one["floor"] is not None:
        raise InvalidInput(f"{where}.floor is for metrics of kind value and rate; use limit or max_ratio.")
    if kind in ("errors", "latency") and not one["compare"] and one["limit"] is None:
        raise InvalidInput(f"{where}: without compare a limit is needed, or nothing would be judged.")
    try:
        re.compile(one["pattern"] or "")
    except re.error as error:
        raise InvalidInput(f"{where}.pattern: {one['pattern']!r} is not a regular expression: {error}.") from error
    metric = Metric(**{name: one[name] for name in _OF_METRIC})
    return Question(metric, kind, one["consecutive"], one["missing"], one["unanswered"])
