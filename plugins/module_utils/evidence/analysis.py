# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the canary with stable: pass, fail or inconclusive. Changes nothing."""

from __future__ import annotations

import time
import typing as t

from ..analysis.kinds import KINDS
from ..analysis.traffic import NO_VERSION
from ..errors import CanaryError, InvalidInput
from ..objects.snapshot import PLURALS
from ..routing import overview, plan, version_labels
from ..task.argument_spec import BY_PODS, PROMETHEUS, ArgSpec
from ..task.reading import Reader, service_of
from . import analysis_options, custom_metrics
from .analysis_run import AnalysisRun
from .combined_source import PrometheusAndProxies
from .gate_answers import ApprovalReader
from .prometheus_source import PrometheusSource
from .proxy_source import ProxySource

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.intervals import MetricSpec
    from ..analysis.sequential import Observation
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..task.context import Context
    from .proxy_source import Source

    Log = Callable[[str], None]

SPEC: t.Final = ArgSpec(
    {
        **BY_PODS,
        **PROMETHEUS,
        "stable": {"type": "str", "required": True},
        "canary": {"type": "str", "required": True},
        **analysis_options.OPTIONS,
        "watch": {"type": "float", "default": 30.0},
        "deadline": {"type": "float"},
        "window": {"type": "float", "default": 0.0},
        "at": {"type": "float"},
        "proxy_sample": {"type": "int", "default": 50},
        "evidence": {"type": "dict", "default": {}},
        "approval": {"type": "str"},
        "fail_on": {"type": "list", "elements": "str", "choices": ["fail", "inconclusive"], "default": []},
    },
    **analysis_options.RULES,
    required_by={"at": ["window", "prometheus_url"]},
)


def analyze(
    cluster: Cluster,
    params: Mapping[str, t.Any],
    context: Context,
    keep: Callable[[AnalysisRun], None] = lambda _run: None,
) -> dict[str, t.Any]:
    """Measure, judge, and return the task's result with the verdict. params: see SPEC.

    keep: takes the analysis, which can count on after its verdict.
    Raises CanaryError where nothing could be read at all.
    """
    _check(params)
    metric_specs = analysis_options.check(params)
    evidence = analysis_options.evidence(params["evidence"])
    observation = analysis_options.observation(metric_specs, params["canary"], params["stable"], evidence)
    service = service_of(params)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    notes: list[str] = list(reader.notes)
    description = _description(snapshot, service, params, notes)
    notes += overview.ambient_notes(snapshot, service)
    source = _source(cluster, snapshot, service, params, description, metric_specs)
    value_queries = custom_metrics.value_queries(params["metrics"], source, params["canary"], params["stable"])
    context.log(f"Comparing {service.name} {params['canary']} with {params['stable']}, by {source.name}")
    approval = None if params["approval"] is None else ApprovalReader(cluster, service, params["approval"])
    analysis_run = AnalysisRun(
        source,
        observation,
        value_queries,
        params,
        context.log,
        approval=approval,
        terminal=context.terminal,
        needed=analysis_options.requests_needed(metric_specs),
    )
    analysis_run.run()
    keep(analysis_run)
    notes += [
        *_unknown_version_notes(observation.seen, _known(description), params),
        *_unattributed_notes(observation.unattributed),
    ]
    return _result(service, params, source, analysis_run, observation, notes, cluster)


def _check(params: Mapping[str, t.Any]) -> None:
    if params["stable"] == params["canary"]:
        raise InvalidInput(f"stable and canary are both {params['canary']}; an analysis compares two versions.")
    analysis_options.check_seconds(params, {"watch": 1.0, "window": 0.0, "deadline": 0.0})
    if params["proxy_sample"] < 0:
        raise InvalidInput(f"proxy_sample must be 0 (all) or more, not {params['proxy_sample']}.")
    if params["approval"] is not None:
        if not params["approval"].strip():
            raise InvalidInput("approval is empty: set the ticket of the gate, or leave the option out.")
        if params["window"]:
            raise InvalidInput("approval has no effect in the past; leave window and at out.")
    if params["window"] and params["source"] == "proxies":
        raise InvalidInput("window: proxies know only what happens from now on; the past needs prometheus_url.")
    if params["at"] is not None and params["window"] < params["watch"] + params["warm_up"]:
        raise InvalidInput(
            f"window is {params['window']:g} s; with `at` it must hold watch and warm_up, "
            f"{params['watch'] + params['warm_up']:g} s."
        )


def _description(
    snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any], notes: list[str]
) -> dict[str, t.Any]:
    """Return the routes as `plan.describe` does. Raises InvalidInput for a version that they do not have."""
    if params["route_api"] == "replicas":
        return overview.unknown_description(snapshot, service)
    try:
        versions = (params["stable"], params["canary"])
        description = plan.describe(snapshot, service, api=params["route_api"], versions=versions)
    except CanaryError as error:
        notes.append(f"The routes are not known: {error.msg}")
        description = overview.unknown_description(snapshot, service)
    known = _known(description)
    for option in ("stable", "canary"):
        if known and params[option] not in known:
            raise InvalidInput(
                f"{option}: {service.name} in {service.namespace} has no version {params[option]!r}; "
                f"there are: {', '.join(sorted(known))}."
            )
    return description


def _known(description: Mapping[str, t.Any]) -> set[str]:
    return {*description["subsets"], *description["services"], *description["weights"]} - {NO_VERSION}


def _source(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    params: Mapping[str, t.Any],
    description: Mapping[str, t.Any],
    metric_specs: Sequence[MetricSpec],
) -> Source:
    """Return the source of the counts. Raises InvalidInput for options that fit none."""
    names = version_labels.names(snapshot, service, description)
    server = analysis_options.prometheus_of(params)
    places = overview.places(service, description)
    sizes = any(KINDS[one.kind].reads_sizes for one in metric_specs)
    if server is not None:
        counted = PrometheusSource(server, service, names, sizes=sizes)
        past_or_pods = params["window"] or params["route_api"] == "replicas"
        if past_or_pods or not any(KINDS[one.kind].in_flight for one in metric_specs):
            return counted
        proxies = ProxySource(cluster, snapshot, service, names, places, params, in_flight_every=1)
        return PrometheusAndProxies(counted, proxies)
    if params["window"]:
        raise InvalidInput("window: proxies know only what happens from now on; the past needs prometheus_url.")
    return ProxySource(cluster, snapshot, service, names, places, params, sizes=sizes)


def _unknown_version_notes(seen: Mapping[str, int], known: set[str], params: Mapping[str, t.Any]) -> list[str]:
    """Return a note if requests were counted for unknown versions, and none for one of the two compared."""
    others = {version: number for version, number in seen.items() if number and version not in known | {NO_VERSION}}
    missing = [params[side] for side in ("canary", "stable") if not seen.get(params[side])]
    if not (known and others and missing):
        return []
    listed = ", ".join(f"{version} ({number})" for version, number in sorted(others.items()))
    return [
        f"Requests were counted for versions that the routes do not have, {listed}, and none for {', '.join(missing)}. "
        "Istio's metrics identify a version by the pods' label version, workload and canonical revision: give the pods "
        "of each version a value of their own for the label version."
    ]


def _unattributed_notes(number: int) -> list[str]:
    if not number:
        return []
    return [f"{number} requests failed or were canceled, and the counters name no version for them."]


def _result(
    service: ServiceRef,
    params: Mapping[str, t.Any],
    source: Source,
    analysis_run: AnalysisRun,
    observation: Observation,
    notes: list[str],
    cluster: Cluster,
) -> dict[str, t.Any]:
    verdict = analysis_run.verdict.as_dict()
    outcome = verdict["verdict"]
    failed = outcome in params["fail_on"]
    return {
        "changed": False,
        **({"failed": True, "error_code": f"analysis_{outcome}"} if failed else {}),
        "msg": f"{service.name} {params['canary']}: {outcome}: {'; '.join(verdict['reasons'])}",
        "service": service.name,
        "namespace": service.namespace,
        "canary": params["canary"],
        "stable": params["stable"],
        **verdict,
        "passed": outcome == "pass",
        "answer": analysis_run.answer,
        "answer_error": analysis_run.answer_error,
        "numbers": analysis_run.numbers(),
        "failed_requests": analysis_run.failed_requests,
        "reaction_seconds": analysis_run.reaction_seconds,
        "measurements": analysis_run.measurements,
        "seconds": round(analysis_run.seconds, 3),
        "started_at": round(analysis_run.started, 3),
        "timeline": analysis_run.timeline,
        "source": source.name,
        "callers": source.callers,
        "evidence": observation.evidence(),
        "notes": list(dict.fromkeys([*notes, *source.notes, *analysis_run.notes])),
        "at": round(time.time() if params["at"] is None else params["at"], 3),
        "api_requests": cluster.requests,
        "warnings": list(cluster.warnings),
    }
