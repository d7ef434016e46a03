# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of an analysis: what a canary is judged by, checked before anything is read.

canary_analysis and canary_rollout take them.
"""

from __future__ import annotations

import math
import typing as t

from ..analysis import grpc_statuses, kinds
from ..analysis.intervals import MetricSpec
from ..analysis.metrics import Metric
from ..analysis.sequential import Observation
from ..errors import InvalidInput
from ..prometheus import Prometheus
from ..rollout.steps import MAX_WAIT_SECONDS
from . import probes

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..rollout.steps import Rollout
    from ..task.argument_spec import Options

    MetricOptions = Mapping[str, t.Any]

METRIC_OPTIONS: t.Final[Options] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True, "choices": list(kinds.KINDS)},
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
    "ignore": {"type": "list", "elements": "str"},
    "verdict": {"type": "str", "choices": ["fail", "inconclusive"]},
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
OPTIONS: t.Final[Options] = {
    "source": {"type": "str", "default": "auto", "choices": ["auto", "proxies", "prometheus"]},
    "metrics": {"type": "list", "elements": "dict", "options": METRIC_OPTIONS},
    "warm_up": {"type": "float", "default": 0.0},
    "interval": {"type": "float"},
    "grpc_failures": {"type": "list", "elements": "str", "default": list(grpc_statuses.FAILURE_NAMES)},
}
RULES: t.Final[dict[str, t.Any]] = {"required_if": [("source", "prometheus", ["prometheus_url"])]}
_MIN_SECONDS: t.Final = {"warm_up": 0.0, "interval": 0.1}
_RANGES: t.Final[dict[str, tuple[float, float]]] = {
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
"""Option -> the number it must be above, and its maximum."""
_METRIC_FIELDS: t.Final = (
    *("name", "alpha", "min_requests", "limit", "floor", "max_ratio", "effect", "slack", "compare", "quantile"),
    *("weight", "critical"),
)


def check_seconds(params: Mapping[str, t.Any], minimums: Mapping[str, float]) -> None:
    """Raise InvalidInput for an option in seconds that is below its minimum, or above the longest wait."""
    for option, minimum in minimums.items():
        value = params[option]
        if value is not None and not minimum <= value <= MAX_WAIT_SECONDS:
            raise InvalidInput(f"{option} must be between {minimum:g} and {MAX_WAIT_SECONDS:g}, not {value:g}.")


def prometheus_of(params: Mapping[str, t.Any]) -> Prometheus | None:
    """Return the Prometheus to query, None to read the proxies. Raises InvalidInput for its address."""
    server = None if params["source"] == "proxies" else Prometheus.from_params(params)
    if server is None and params["route_api"] == "replicas":
        raise InvalidInput(
            f"source: a canary by pods has no proxies that count the requests of {params['service']}. Give "
            "prometheus_url, and metrics of kind value with a query of your own in which $version is the Deployment's "
            "name; or leave the analysis out and check the canary by tasks (rollout_after_step of the role rollout)."
        )
    return server


def check(params: Mapping[str, t.Any]) -> tuple[MetricSpec, ...]:
    """Return the metrics to judge. params: of canary_analysis. Raises InvalidInput for what could never be judged."""
    check_seconds(params, _MIN_SECONDS)
    specs = specs_of(params)
    check_queries(params["metrics"], "proxies" if prometheus_of(params) is None else "prometheus")
    return specs


def check_plan(rollout: Rollout, params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput if steps with an analysis could not be judged. params: of canary_rollout."""
    judged = [(index, step) for index, step in enumerate(rollout.steps) if step.analysis]
    if not judged:
        return
    if params["source"] == "prometheus" and not params["prometheus_url"]:
        raise InvalidInput("source is prometheus, so prometheus_url is required.")
    check(params)
    for index, step in judged:
        if step.pause + params["warm_up"] >= step.deadline:
            raise InvalidInput(
                f"steps[{index}] is judged for {step.pause:g} s after a warm_up of {params['warm_up']:g} s, and ends "
                f"at {step.deadline:g} s. Make deadline larger, or pause or warm_up smaller."
            )


def requests_needed(specs: Sequence[MetricSpec]) -> int:
    """Return the requests of the canary without which there is no verdict; 0 if no metric counts requests."""
    counted = [one.metric for one in specs if one.kind in ("errors", "latency") and one.metric.weight]
    decisive = [one for one in counted if one.critical] or counted
    return max((one.min_requests for one in decisive), default=0)


def check_queries(metrics: Sequence[MetricOptions] | None, source: str) -> None:
    """Raise InvalidInput for a query where the source is not Prometheus. source: `proxies` or `prometheus`."""
    for one in metrics or ():
        if one["query"] and source != "prometheus":
            raise InvalidInput(f"metrics: {one['name']} has a query, which needs prometheus_url.")


def specs_of(params: Mapping[str, t.Any]) -> tuple[MetricSpec, ...]:
    """Return the metrics to judge, of canary_analysis or canary_rollout. Raises InvalidInput."""
    return metric_specs(params["metrics"], grpc_statuses.failures(params["grpc_failures"]))


def metric_specs(
    metrics: Sequence[MetricOptions] | None, grpc_failures: frozenset[str] = grpc_statuses.FAILURES
) -> tuple[MetricSpec, ...]:
    """Return the metrics to judge, the default ones for None. Raises InvalidInput.

    grpc_failures: the gRPC statuses that are errors.
    """
    if metrics is None:
        return kinds.DEFAULT_METRICS
    if not metrics:
        raise InvalidInput("metrics is empty: name at least one metric, or leave the option out.")
    names = [one["name"] for one in metrics]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise InvalidInput(f"metrics: {', '.join(duplicates)} is named twice; each metric needs a name of its own.")
    return tuple(_metric_spec(one, grpc_failures) for one in metrics)


def _metric_spec(options: MetricOptions, grpc_failures: frozenset[str]) -> MetricSpec:
    where = f"metrics[{options['name']}]"
    for option, (above, maximum) in _RANGES.items():
        value = options[option]
        if value is not None and not above < value <= maximum:
            raise InvalidInput(f"{where}.{option} must be above {above:g} and at most {maximum:g}, not {value:g}.")
    kinds.check(where, options["kind"], options, grpc_failures)
    probes.expression_of(f"{where}.pattern", options["pattern"] or "")
    metric = Metric(**{name: options[name] for name in _METRIC_FIELDS})
    return MetricSpec(
        metric,
        options["kind"],
        options["consecutive"],
        options["missing"],
        options["unanswered"],
        ignored=frozenset(options["ignore"] or ()),
        verdict=options["verdict"] or "fail",
    )


def evidence(given: Mapping[str, t.Any]) -> dict[str, list[float]]:
    """Return the evidence of an earlier analysis. Raises InvalidInput if it is not what a task returned."""
    try:
        return {str(name): [float(number) for number in state] for name, state in given.items()}
    except (TypeError, ValueError):
        raise _foreign_evidence() from None


def observation(
    specs: Sequence[MetricSpec], canary: str, stable: str, before: Mapping[str, list[float]]
) -> Observation:
    """Return the observation that continues from `before`. Raises InvalidInput for evidence of other metrics."""
    try:
        return Observation(specs, canary, stable, before)
    except (ValueError, IndexError):
        raise _foreign_evidence() from None


def _foreign_evidence() -> InvalidInput:
    return InvalidInput(
        "evidence: this is not what canary_analysis returned under that name for the same metrics. "
        "Pass it unchanged, or leave it out to start without."
    )
