# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_verify: tests with real requests that the split is the intended one. Changes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ..analysis import causes, split
from ..analysis.traffic import NO_VERSION
from ..errors import CanaryError, InvalidInput
from ..evidence import probes, split_counts
from ..kube.client import Cluster
from ..objects import pods
from ..objects.snapshot import PLURALS
from ..preflight import inspection
from ..prometheus import Prometheus
from ..routing import overview, plan, version_labels
from ..task.argument_spec import BY_PODS, CONNECTION, PROMETHEUS, ArgSpec
from ..task.reading import Reader, service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..evidence.split_counts import SplitCount
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

    Log = Callable[[str], None]

MIN_PROBES: t.Final = 100

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        **PROMETHEUS,
        "source": {"type": "str", "default": "auto", "choices": ["auto", "proxies", "prometheus", "probes"]},
        "weights": {"type": "dict"},
        "cohort": {"type": "str"},
        "seconds": {"type": "float", "default": 30.0},
        "proxy_sample": {"type": "int", "default": 0},
        "probes": {
            "type": "dict",
            "options": probes.OPTIONS,
            "mutually_exclusive": [["url", "pod"]],
            "required_one_of": [["url", "pod"]],
            "required_together": [["pod", "command"]],
        },
        "counter": {"type": "dict", "options": split_counts.COUNTER_OPTIONS},
        "alpha": {"type": "float", "default": 0.001},
        "detect": {"type": "float", "default": 5.0},
        "power": {"type": "float", "default": 0.8},
        "fail_on": {
            "type": "list",
            "elements": "str",
            "choices": ["fail", "inconclusive"],
            "default": ["fail", "inconclusive"],
        },
    },
    mutually_exclusive=[["weights", "cohort"]],
    required_if=[("source", "prometheus", ["prometheus_url"]), ("source", "probes", ["probes"])],
)


@dataclass
class _Intended:
    """The intended split. weights: version -> percent. description: the routes as they are."""

    weights: dict[str, float]
    description: dict[str, t.Any]
    cohort: str | None
    notes: list[str] = field(default_factory=list)


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Count requests, test the split, and find causes. Raises CanaryError where nothing could be counted."""
    if params["seconds"] <= 0 or params["seconds"] > 3600:
        raise InvalidInput(f"seconds must be above 0 and at most 3600, not {params['seconds']:g}.")
    cluster, service = Cluster.connect(params, context.env), service_of(params)
    options = {"alpha": params["alpha"], "detect": params["detect"] / 100.0, "power": params["power"]}
    if params["route_api"] == "replicas":
        return _by_pods(cluster, service, params, options, context.log)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    intended = _intended(snapshot, service, params)
    split.test_split({}, intended.weights, **options)  # invalid options fail before anything is counted
    intended.notes += overview.ambient_notes(snapshot, service)
    counted = _count(cluster, snapshot, service, intended, params, options, context.log)
    counts = {version or causes.ALL_PODS: number for version, number in counted.counts.items() if number}
    verdict = _tested(counted, counts, intended, options)
    found = []
    if verdict.verdict == "fail":
        found = _causes(snapshot, service, intended, counted, counts, params["alpha"])
    result = _result(service, params, intended, counted, counts, verdict, found)
    notes = [*reader.notes, *intended.notes, *counted.notes, *causes.outside_traffic_notes(counted.outside, verdict.n)]
    return {**result, **_cost(cluster, intended, options, notes)}


def _by_pods(
    cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any], options: Mapping[str, float], log: Log
) -> dict[str, t.Any]:
    """Verify a split by the ratio of pods, without routes."""
    if params["cohort"]:
        raise InvalidInput("cohort has no effect with route_api=replicas: without routes there are no cohorts.")
    pod_split = split_counts.PodSplit(cluster, service)
    intended = _Intended(pod_split.weights if params["weights"] is None else _numbers(params["weights"]), {}, None)
    split.test_split({}, intended.weights, **options)
    server = Prometheus.from_params(params)
    if params["probes"] and params["source"] in ("auto", "probes"):
        counted = pod_split.by_probes(params["probes"], _number(service, params, intended, options, log))
    elif server is not None and params["source"] in ("auto", "prometheus"):
        counted = pod_split.by_prometheus(server, params["counter"], params["seconds"])
    else:
        raise InvalidInput(
            f"source: with route_api=replicas no proxy counts the requests of {service.name}. Set probes, or "
            "prometheus_url and counter."
        )
    counts = {owner: number for owner, number in counted.counts.items() if number}
    verdict = _tested(counted, counts, intended, options)
    found = pod_split.causes(counts) if verdict.verdict == "fail" else []
    result = _result(service, params, intended, counted, counts, verdict, found)
    return {**result, **_cost(cluster, intended, options, counted.notes)}


def _tested(
    counted: SplitCount, counts: Mapping[str, int], intended: _Intended, options: Mapping[str, float]
) -> split.SplitVerdict:
    verdict = split.test_split(counts, intended.weights, **options)
    return replace(verdict, reasons=(counted.why,)) if counted.why and not verdict.n else verdict


def _cost(
    cluster: Cluster, intended: _Intended, options: Mapping[str, float], notes: Sequence[str]
) -> dict[str, t.Any]:
    return {
        "needed": split.requests_needed(intended.weights, **options),
        "notes": list(dict.fromkeys(notes)),
        "api_requests": cluster.requests,
        "warnings": list(cluster.warnings),
    }


def _number(
    service: ServiceRef, params: Mapping[str, t.Any], intended: _Intended, options: Mapping[str, float], log: Log
) -> int:
    """Return and log how many probes to send."""
    needed = max(MIN_PROBES, split.requests_needed(intended.weights, **options))
    number: int = params["probes"]["requests"] or min(needed, probes.MAX_PROBES)
    log(f"Sending {number} probes for {service.name}")
    return number


def _intended(snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any]) -> _Intended:
    """Return the weights of the task, of a cohort, or of the routes."""
    notes: list[str] = []
    try:
        description = plan.describe(snapshot, service, api=params["route_api"], versions=params["weights"] or ())
    except CanaryError as error:
        if params["weights"] is None:
            raise
        notes.append(f"The routes are not known: {error.msg}")
        description = overview.unknown_description(snapshot, service)
    if params["weights"] is not None:
        return _Intended(_numbers(params["weights"]), description, None, notes)
    if params["cohort"]:
        cohort = description["cohorts"].get(params["cohort"])
        if cohort is None:
            known = ", ".join(description["cohorts"]) or "none"
            raise InvalidInput(f"cohort: {service.name} has no cohort {params['cohort']!r}; there are: {known}.")
        return _Intended(dict(cohort["weights"]), description, params["cohort"], notes)
    weights = {version: percent for version, percent in description["weights"].items() if version != NO_VERSION}
    if not any(weights.values()):
        raise InvalidInput(
            f"The routes of {service.name} in {service.namespace} name no version, so there is no intended split to "
            "verify. Set weights, or route the service first (canary_routing, canary_weight)."
        )
    return _Intended(weights, description, None, notes)


def _numbers(weights: Mapping[str, t.Any]) -> dict[str, float]:
    try:
        return {str(version): float(percent) for version, percent in weights.items()}
    except (TypeError, ValueError):
        raise InvalidInput(f"weights: {dict(weights)} must map versions to numbers, as {{v1: 90, v2: 10}}.") from None


def _count(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    intended: _Intended,
    params: Mapping[str, t.Any],
    options: Mapping[str, float],
    log: Log,
) -> SplitCount:
    names = version_labels.names(snapshot, service, intended.description)
    source = params["source"]
    server = Prometheus.from_params(params)
    if source == "auto":
        source = "probes" if params["probes"] else "prometheus" if server else "proxies"
    if intended.cohort and source != "probes":
        raise InvalidInput(
            "cohort: counters do not know the cohort of a request. Use probes with the headers that the cohort matches."
        )
    if source == "probes":
        number = _number(service, params, intended, options, log)
        return split_counts.by_probes(cluster, service, params["probes"], number)
    if source == "prometheus" and server is not None:
        return split_counts.by_prometheus(cluster, snapshot, service, names, server, params["seconds"])
    log(f"Counting the requests of {service.name} for {params['seconds']:g} s")
    return split_counts.by_proxies(cluster, snapshot, service, names, params)


def _causes(
    snapshot: Snapshot,
    service: ServiceRef,
    intended: _Intended,
    counted: SplitCount,
    counts: Mapping[str, int],
    alpha: float,
) -> list[str]:
    description, probed = intended.description, counted.source == "probes"
    ready = {}
    for version, (owner, labels) in overview.places(service, description).items():
        ready[version] = pods.count_ready(pods.of_service(snapshot, owner, labels) or ())
    known = causes.SplitContext(
        by_caller=counted.by_caller,
        ready=ready,
        outside=counted.outside,
        cohorts=() if probed else tuple(description["cohorts"]),
        sticky=bool(description["sticky"]),
        mirrored=() if probed else tuple(description["mirrors"]),
        findings=inspection.inspect(snapshot, service),
        retried=counted.retried,
        route_retries=split_counts.route_retries(snapshot, service) if counted.source == "proxies" else {},
        errors=counted.errors,
    )
    return causes.likely_causes(counts, intended.weights, known, alpha=alpha)


def _result(
    service: ServiceRef,
    params: Mapping[str, t.Any],
    intended: _Intended,
    counted: SplitCount,
    counts: Mapping[str, int],
    verdict: split.SplitVerdict,
    found: list[str],
) -> dict[str, t.Any]:
    shares = split.normalized(intended.weights)
    failed = verdict.verdict in params["fail_on"]
    message = f"{service.name}: {verdict.verdict}: {'; '.join(verdict.reasons)}"
    if found and failed:
        message += f". Likely cause: {found[0]}"
    return {
        "changed": False,
        **({"failed": True, "error_code": f"split_{verdict.verdict}"} if failed else {}),
        "msg": message,
        "service": service.name,
        "namespace": service.namespace,
        "cohort": intended.cohort,
        "verdict": verdict.verdict,
        "passed": verdict.verdict == "pass",
        "p_value": verdict.p_value,
        "n": verdict.n,
        "power": round(verdict.power, 6),
        "test": verdict.method,
        "reasons": list(verdict.reasons),
        "causes": found,
        "counts": dict(counts),
        "shares": {version: round(100 * share, 6) for version, share in shares.items()},
        "measured": {version: round(100 * count / verdict.n, 3) for version, count in counts.items()},
        "errors": counted.errors,
        "source": counted.source,
        "seconds": counted.seconds,
        "callers": counted.callers,
    }
