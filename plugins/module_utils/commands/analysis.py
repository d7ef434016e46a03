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
from ..prometheus import Prometheus
from ..routes import overview, plan
from ..routes.snapshot import PLURALS
from . import asked, numbers
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

LONGEST: t.Final = 86400.0

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        **PROMETHEUS,
        "stable": {"type": "str", "required": True},
        "canary": {"type": "str", "required": True},
        "source": {"type": "str", "default": "auto", "choices": ["auto", "proxies", "prometheus"]},
        "metrics": {"type": "list", "elements": "dict", "options": asked.OPTIONS},
        "watch": {"type": "float", "default": 30.0},
        "deadline": {"type": "float"},
        "warm_up": {"type": "float", "default": 0.0},
        "interval": {"type": "float"},
        "window": {"type": "float", "default": 0.0},
        "at": {"type": "float"},
        "proxy_sample": {"type": "int", "default": 50},
        "evidence": {"type": "dict", "default": {}},
        "approval": {"type": "str"},
        "fail_on": {"type": "list", "elements": "str", "choices": ["fail", "inconclusive"], "default": []},
    },
    required_if=[("source", "prometheus", ["prometheus_url"])],
    required_by={"at": ["window", "prometheus_url"]},
)


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Watch, judge, and return what was seen. Raises CanaryError where nothing could be read at all."""
    del check_mode
    _check(params)
    questions = asked.questions(params["metrics"])
    evidence = asked.evidence(params["evidence"])
    observation = asked.observation(questions, params["canary"], params["stable"], evidence)
    cluster, service = Cluster.connect(params, env), service_of(params)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    notes: list[str] = list(reader.notes)
    source = _source(cluster, snapshot, service, params, questions, notes)
    askers = numbers.askers(params["metrics"], source, params["canary"], params["stable"])
    log(f"Watching {service.name}: {params['canary']} beside {params['stable']}, by {source.name}")
    approval = None if params["approval"] is None else Approval(cluster, service, params["approval"])
    watch = Watch(source, observation, askers, params, log, approval=approval)
    watch.until_decided()
    return _result(service, params, source, watch, observation, notes, cluster)


def _check(params: Mapping[str, t.Any]) -> None:
    if params["stable"] == params["canary"]:
        raise InvalidInput(f"stable and canary are both {params['canary']}; an analysis compares two versions.")
    for option, least in (("watch", 1.0), ("warm_up", 0.0), ("window", 0.0), ("deadline", 0.0), ("interval", 0.1)):
        value = params[option]
        if value is not None and not least <= value <= LONGEST:
            raise InvalidInput(f"{option} must be between {least:g} and {LONGEST:g}, not {value:g}.")
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


def _source(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    params: Mapping[str, t.Any],
    questions: Sequence[Question],
    notes: list[str],
) -> Source:
    """Return where to look. Raises InvalidInput for a version that the routes do not know."""
    if params["route_api"] == "replicas":
        return _source_by_pods(snapshot, service, params)
    try:
        description = plan.describe(snapshot, service, api=params["route_api"])
    except CanaryError as error:
        notes.append(f"The routes cannot be told: {error.msg}")
        description = overview.untold(snapshot, service)
    known = {*description["subsets"], *description["weights"]} - {NO_VERSION}
    for option in ("stable", "canary"):
        if known and params[option] not in known:
            raise InvalidInput(
                f"{option}: {service.name} in {service.namespace} has no version {params[option]!r}; "
                f"there are: {', '.join(sorted(known))}."
            )
    names = overview.names(service, description)
    server = None if params["source"] == "proxies" else Prometheus.of_task(params)
    subsets = description["subsets"]
    if server is not None:
        counted = PrometheusSource(server, service, names)
        if params["window"] or all(one.kind != "hanging" for one in questions):
            return counted
        proxies = ProxySource(cluster, snapshot, service, names, subsets, params, under_way_every=1)
        return PrometheusAndProxies(counted, proxies)
    if params["window"]:
        raise InvalidInput("window: proxies know only what happens from now on; the past needs prometheus_url.")
    return ProxySource(cluster, snapshot, service, names, subsets, params)


def _source_by_pods(snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any]) -> Source:
    """Return Prometheus, the only place that knows of requests where there are no proxies. Raises InvalidInput."""
    server = None if params["source"] == "proxies" else Prometheus.of_task(params)
    if server is None:
        raise InvalidInput(
            f"source: a canary by pods has no proxies that count the requests of {service.name}. Give prometheus_url, "
            "and metrics of kind value with a query of your own in which $version is the Deployment's name; or leave "
            "the analysis out and check the canary by tasks (rollout_after_step of the role rollout)."
        )
    return PrometheusSource(server, service, overview.names(service, overview.untold(snapshot, service)))


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
