# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_verify: proves from real requests that the split is the one intended. Changes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ..analysis import causes, split
from ..analysis.traffic import NO_VERSION
from ..cluster import Cluster
from ..errors import CanaryError, InvalidInput
from ..prometheus import Prometheus
from ..routes import overview, plan, pods, preflight, told_apart
from ..routes.snapshot import PLURALS
from . import probing, verify_counts, verify_pods
from .argspec import BY_PODS, CONNECTION, PROMETHEUS, ArgSpec
from .reading import Reader, service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot
    from .verify_counts import Counted

    Log = Callable[[str], None]

PROBES_AT_LEAST: t.Final = 100

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
            "options": probing.OPTIONS,
            "mutually_exclusive": [["url", "pod"]],
            "required_one_of": [["url", "pod"]],
            "required_together": [["pod", "command"]],
        },
        "counter": {"type": "dict", "options": verify_pods.COUNTER},
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
    """What the split should be. weights: version -> percent; description: the routes as they are."""

    weights: dict[str, float]
    description: dict[str, t.Any]
    cohort: str | None
    notes: list[str] = field(default_factory=list)


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Count, test, and explain. Raises CanaryError where nothing could be counted at all."""
    del check_mode
    if params["seconds"] <= 0 or params["seconds"] > 3600:
        raise InvalidInput(f"seconds must lie above 0 and be 3600 at most, not {params['seconds']:g}.")
    cluster, service = Cluster.connect(params, env), service_of(params)
    options = {"alpha": params["alpha"], "detect": params["detect"] / 100.0, "power": params["power"]}
    if params["route_api"] == "replicas":
        return _by_pods(cluster, service, params, options, log)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    intended = _intended(snapshot, service, params)
    split.test_split({}, intended.weights, **options)  # bad options are told before anything is counted
    intended.notes += overview.unread(snapshot, service)
    counted = _count(cluster, snapshot, service, intended, params, options, log)
    counts = {version or causes.ALL_PODS: number for version, number in counted.counts.items() if number}
    verdict = _tested(counted, counts, intended, options)
    found = []
    if verdict.verdict == "fail":
        found = _causes(snapshot, service, intended, counted, counts, params["alpha"])
    result = _result(service, params, intended, counted, counts, verdict, found)
    notes = [*reader.notes, *intended.notes, *counted.notes, *causes.from_outside(counted.outside, verdict.n)]
    return {**result, **_cost(cluster, intended, options, notes)}


def _by_pods(
    cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any], options: Mapping[str, float], log: Log
) -> dict[str, t.Any]:
    """Do the same where no route but the ratio of pods makes the shares."""
    if params["cohort"]:
        raise InvalidInput("cohort: without routes there are no cohorts; leave it out with route_api=replicas.")
    way = verify_pods.ByPods(cluster, service)
    intended = _Intended(way.weights if params["weights"] is None else _numbers(params["weights"]), {}, None)
    split.test_split({}, intended.weights, **options)
    server = Prometheus.of_task(params)
    if params["probes"] and params["source"] in ("auto", "probes"):
        counted = way.by_probes(params["probes"], _number(service, params, intended, options, log))
    elif server is not None and params["source"] in ("auto", "prometheus"):
        counted = way.by_prometheus(server, params["counter"], params["seconds"])
    else:
        raise InvalidInput(
            f"source: where the ratio of pods makes the shares no proxy counts the requests of {service.name}. Give "
            "probes, or prometheus_url with a counter of your own."
        )
    counts = {owner: number for owner, number in counted.counts.items() if number}
    verdict = _tested(counted, counts, intended, options)
    found = way.causes(counts) if verdict.verdict == "fail" else []
    result = _result(service, params, intended, counted, counts, verdict, found)
    return {**result, **_cost(cluster, intended, options, counted.notes)}


def _tested(
    counted: Counted, counts: Mapping[str, int], intended: _Intended, options: Mapping[str, float]
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
    """Return how many probes to send, and say so."""
    needed = max(PROBES_AT_LEAST, split.requests_needed(intended.weights, **options))
    number: int = params["probes"]["requests"] or min(needed, probing.MOST)
    log(f"Sending {number} probes for {service.name}")
    return number


def _intended(snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any]) -> _Intended:
    """Return the weights of the task, of a cohort, or those that the routes say."""
    notes: list[str] = []
    try:
        description = plan.describe(snapshot, service, api=params["route_api"])
    except CanaryError as error:
        if params["weights"] is None:
            raise
        notes.append(f"The routes cannot be told: {error.msg}")
        description = overview.untold(snapshot, service)
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
) -> Counted:
    names = told_apart.names(snapshot, service, intended.description)
    source = params["source"]
    server = Prometheus.of_task(params)
    if source == "auto":
        source = "probes" if params["probes"] else "prometheus" if server else "proxies"
    if intended.cohort and source != "probes":
        raise InvalidInput(
            "cohort: counters do not know which cohort a request was of. Use probes that send what the cohort matches."
        )
    if source == "probes":
        number = _number(service, params, intended, options, log)
        return verify_counts.by_probes(cluster, service, params["probes"], number)
    if source == "prometheus" and server is not None:
        return verify_counts.by_prometheus(cluster, snapshot, service, names, server, params["seconds"])
    log(f"Counting the requests of {service.name} for {params['seconds']:g} s")
    return verify_counts.by_proxies(cluster, snapshot, service, names, params)


def _causes(
    snapshot: Snapshot,
    service: ServiceRef,
    intended: _Intended,
    counted: Counted,
    counts: Mapping[str, int],
    alpha: float,
) -> list[str]:
    description, probed = intended.description, counted.source == "probes"
    ready = {}
    for version, labels in description["subsets"].items():
        ready[version] = pods.ready(pods.of_service(snapshot, service, labels) or ())
    known = causes.Circumstances(
        by_caller=counted.by_caller,
        ready=ready,
        outside=counted.outside,
        cohorts=() if probed else tuple(description["cohorts"]),
        sticky=bool(description["sticky"]),
        mirrored=() if probed else tuple(description["mirrors"]),
        findings=preflight.inspect(snapshot, service),
        retried=counted.retried,
        retrying=verify_counts.retrying(snapshot, service) if counted.source == "proxies" else {},
        errors=counted.errors,
    )
    return causes.likely(counts, intended.weights, known, alpha=alpha)


def _result(
    service: ServiceRef,
    params: Mapping[str, t.Any],
    intended: _Intended,
    counted: Counted,
    counts: Mapping[str, int],
    verdict: split.SplitVerdict,
    found: list[str],
) -> dict[str, t.Any]:
    shares = split.normalised(intended.weights)
    told = verdict.as_dict()
    failed = verdict.verdict in params["fail_on"]
    sentence = f"{service.name}: {verdict.verdict}: {'; '.join(verdict.reasons)}"
    if found and failed:
        sentence += f". Likely: {found[0]}"
    return {
        "changed": False,
        **({"failed": True, "error_code": f"split_{verdict.verdict}"} if failed else {}),
        "msg": sentence,
        "service": service.name,
        "namespace": service.namespace,
        "cohort": intended.cohort,
        "verdict": verdict.verdict,
        "passed": verdict.verdict == "pass",
        "p_value": told["p_value"],
        "n": told["n"],
        "power": round(told["power"], 6),
        "test": told["method"],
        "reasons": told["reasons"],
        "causes": found,
        "counts": dict(counts),
        "shares": {version: round(100 * share, 6) for version, share in shares.items()},
        "measured": {version: round(100 * count / verdict.n, 3) for version, count in counts.items()},
        "errors": counted.errors,
        "source": counted.source,
        "seconds": counted.seconds,
        "callers": counted.callers,
    }
