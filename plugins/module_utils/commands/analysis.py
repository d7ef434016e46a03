# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_analysis: watches the canary beside stable and says pass, fail or inconclusive. Changes nothing."""

from __future__ import annotations

import time
import typing as t

from ..analysis.traffic import NO_VERSION
from ..cluster import Cluster
from ..errors import CanaryError, InvalidInput
from ..routes import overview, plan, told_apart
from ..routes.snapshot import PLURALS
from . import asked, judging, numbers
from .approvals import Approval
from .argspec import BY_PODS, CONNECTION, PROMETHEUS, ArgSpec
from .observe import ProxySource
from .observe_both import PrometheusAndProxies
from .observe_prometheus import PrometheusSource
from .reading import Reader, service_of
from .watch import Watch

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.looks import Question
    from ..analysis.watching import Observation
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot
    from .observe import Source

    Log = Callable[[str], None]

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        **PROMETHEUS,
        "stable": {"type": "str", "required": True},
        "canary": {"type": "str", "required": True},
        **judging.OPTIONS,
        "watch": {"type": "float", "default": 30.0},
        "deadline": {"type": "float"},
        "window": {"type": "float", "default": 0.0},
        "at": {"type": "float"},
        "proxy_sample": {"type": "int", "default": 50},
        "evidence": {"type": "dict", "default": {}},
        "approval": {"type": "str"},
        "fail_on": {"type": "list", "elements": "str", "choices": ["fail", "inconclusive"], "default": []},
    },
    **judging.RULES,
    required_by={"at": ["window", "prometheus_url"]},
)


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Watch, judge, and return what was seen. Raises CanaryError where nothing could be read at all."""
    del check_mode
    _check(params)
    questions = judging.check(params)
    evidence = asked.evidence(params["evidence"])
    observation = asked.observation(questions, params["canary"], params["stable"], evidence)
    cluster, service = Cluster.connect(params, env), service_of(params)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    notes: list[str] = list(reader.notes)
    description = _description(snapshot, service, params, notes)
    notes += overview.unread(snapshot, service)
    source = _source(cluster, snapshot, service, params, description, questions)
    askers = numbers.askers(params["metrics"], source, params["canary"], params["stable"])
    log(f"Watching {service.name}: {params['canary']} beside {params['stable']}, by {source.name}")
    approval = None if params["approval"] is None else Approval(cluster, service, params["approval"])
    watch = Watch(source, observation, askers, params, log, approval=approval)
    watch.until_decided()
    notes += [*_strangers(observation.seen, _known(description), params), *_lost(observation.lost)]
    return _result(service, params, source, watch, observation, notes, cluster)


def _check(params: Mapping[str, t.Any]) -> None:
    if params["stable"] == params["canary"]:
        raise InvalidInput(f"stable and canary are both {params['canary']}; an analysis compares two versions.")
    judging.within(params, {"watch": 1.0, "window": 0.0, "deadline": 0.0})
    if params["proxy_sample"] < 0:
        raise InvalidInput(f"proxy_sample must be 0 (all) or more, not {params['proxy_sample']}.")
    if params["approval"] is not None:
        if not params["approval"].strip():
            raise InvalidInput("approval is empty: name the ticket that an answer must name, or leave the option out.")
        if params["window"]:
            raise InvalidInput("approval: nobody can be asked in the past; leave window and at out.")
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
    """Return the routes as `plan.describe` does. Raises InvalidInput for a version that they do not know."""
    if params["route_api"] == "replicas":
        return overview.untold(snapshot, service)
    try:
        description = plan.describe(snapshot, service, api=params["route_api"])
    except CanaryError as error:
        notes.append(f"The routes cannot be told: {error.msg}")
        description = overview.untold(snapshot, service)
    known = _known(description)
    for option in ("stable", "canary"):
        if known and params[option] not in known:
            raise InvalidInput(
                f"{option}: {service.name} in {service.namespace} has no version {params[option]!r}; "
                f"there are: {', '.join(sorted(known))}."
            )
    return description


def _known(description: Mapping[str, t.Any]) -> set[str]:
    return {*description["subsets"], *description["weights"]} - {NO_VERSION}


def _source(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    params: Mapping[str, t.Any],
    description: Mapping[str, t.Any],
    questions: Sequence[Question],
) -> Source:
    """Return where to look. Raises InvalidInput where the options name no such place."""
    names = told_apart.names(snapshot, service, description)
    server = judging.server_of(params)
    subsets = description["subsets"]
    if server is not None:
        counted = PrometheusSource(server, service, names)
        past_or_pods = params["window"] or params["route_api"] == "replicas"
        if past_or_pods or all(one.kind != "hanging" for one in questions):
            return counted
        proxies = ProxySource(cluster, snapshot, service, names, subsets, params, under_way_every=1)
        return PrometheusAndProxies(counted, proxies)
    if params["window"]:
        raise InvalidInput("window: proxies know only what happens from now on; the past needs prometheus_url.")
    return ProxySource(cluster, snapshot, service, names, subsets, params)


def _strangers(seen: Mapping[str, int], known: set[str], params: Mapping[str, t.Any]) -> list[str]:
    """Return what to say if requests were counted for others and not for both versions that are compared."""
    others = {version: number for version, number in seen.items() if number and version not in known | {NO_VERSION}}
    missing = [params[side] for side in ("canary", "stable") if not seen.get(params[side])]
    if not (known and others and missing):
        return []
    told = ", ".join(f"{version} ({number})" for version, number in sorted(others.items()))
    return [
        f"Requests were counted for versions that the routes do not know, {told}, and none for {', '.join(missing)}. "
        "Istio's metrics tell pods apart by their label version, their workload and their canonical revision: give the "
        "pods of each version a label version of its own."
    ]


def _lost(number: int) -> list[str]:
    if not number:
        return []
    return [f"{number} requests failed or were given up, and the counters name no version for them."]


def _result(
    service: ServiceRef,
    params: Mapping[str, t.Any],
    source: Source,
    watch: Watch,
    observation: Observation,
    notes: list[str],
    cluster: Cluster,
) -> dict[str, t.Any]:
    told = watch.verdict.as_dict()
    outcome = told["verdict"]
    failed = outcome in params["fail_on"]
    return {
        "changed": False,
        **({"failed": True, "error_code": f"analysis_{outcome}"} if failed else {}),
        "msg": f"{service.name} {params['canary']}: {outcome}: {'; '.join(told['reasons'])}",
        "service": service.name,
        "namespace": service.namespace,
        "canary": params["canary"],
        "stable": params["stable"],
        **told,
        "passed": outcome == "pass",
        "answer": watch.answer,
        "numbers": watch.numbers(),
        "harmed": watch.harmed,
        "reaction_seconds": watch.reaction_seconds,
        "looks": watch.looks,
        "seconds": round(watch.seconds, 3),
        "started": round(watch.started, 3),
        "timeline": watch.timeline,
        "source": source.name,
        "callers": source.callers,
        "evidence": observation.evidence(),
        "notes": list(dict.fromkeys([*notes, *source.notes, *watch.notes])),
        "at": round(time.time() if params["at"] is None else params["at"], 3),
        "api_requests": cluster.requests,
        "warnings": list(cluster.warnings),
    }
