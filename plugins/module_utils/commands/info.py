# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_info: who gets which share, which pods are ready, what the proxies hold, what is wrong."""

from __future__ import annotations

import typing as t

from ..cluster import Cluster
from ..errors import ApiError, CanaryError, InvalidInput
from ..prometheus import Prometheus
from ..proxies import in_parallel
from ..replicas import tracks
from ..routes import overview, plan, preflight, told_apart
from ..routes.hosts import ServiceRef
from ..routes.snapshot import PLURALS, identity
from ..routes.weights import shares_in_words
from . import measuring, rights, run_status
from .argspec import CONNECTION, PROMETHEUS, SERVICE, ArgSpec
from .convergence import wait_for_proxies
from .reading import Reader
from .run_store import RunStore

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.preflight import Evidence
    from ..routes.snapshot import Snapshot

    Log = Callable[[str], None]

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **SERVICE,
        "service": {"type": "str"},
        **PROMETHEUS,
        "measure": {"type": "str", "default": "auto", "choices": ["auto", "prometheus", "proxies", "none"]},
        "window": {"type": "float", "default": 300.0},
        "sample_seconds": {"type": "float", "default": 0.0},
        "proxies": {"type": "bool", "default": True},
        "preflight": {"type": "bool", "default": True},
        "proxy_sample": {"type": "int", "default": 50},
    },
    required_if=[("measure", "prometheus", ["prometheus_url"])],
)


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Return everything there is to say about one service, or about all routed services of a namespace."""
    del check_mode
    _check(params)
    cluster = Cluster.connect(params, env)
    reader = Reader(cluster, _named(params, params["service"] or "*"), wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    server = None if params["measure"] in ("none", "proxies") else Prometheus.of_task(params)
    services = _services(cluster, snapshot, params)
    evidence = None
    if params["preflight"]:
        access = rights.ask(cluster, params["namespace"], params["istio_namespace"])
        evidence = rights.evidence(cluster, snapshot, services, access)
    told = [_Told(cluster, snapshot, service, params, log).service(server, evidence) for service in services]
    return {
        "changed": False,
        "msg": _sentence(told, params),
        "namespace": params["namespace"],
        "services": told,
        "notes": list(dict.fromkeys(reader.notes)),
        "api_requests": cluster.requests,
        "warnings": [*cluster.warnings, *(server.warnings if server else ())],
    }


class _Told:
    """One service, told step by step; what cannot be had is None and has a note."""

    def __init__(
        self, cluster: Cluster, snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any], log: Log
    ) -> None:
        self._cluster, self._snapshot, self._service = cluster, snapshot, service
        self._params, self._log = params, log
        self._notes: list[str] = []

    def service(self, server: Prometheus | None, evidence: Evidence | None) -> dict[str, t.Any]:
        """Return the service's entry of the result."""
        description = self._description()
        names = told_apart.names(self._snapshot, self._service, description)
        measured = measuring.measure(
            self._cluster, self._snapshot, self._service, names, server, self._params, self._notes
        )
        findings = (
            preflight.inspect(self._snapshot, self._service, evidence=evidence) if self._params["preflight"] else []
        )
        return {
            "service": self._service.name,
            "namespace": self._service.namespace,
            "host": self._service.fqdn,
            "route_api": description["route_api"],
            "weights": description["weights"],
            "weights_differ": description["weights_differ"],
            "routes": description["routes"],
            "cohorts": description["cohorts"],
            "sticky": description["sticky"],
            "mirrors": description["mirrors"],
            "objects": description["objects"],
            "versions": overview.versions(self._snapshot, self._service, description, measured),
            "by_pods": self._by_pods(),
            "measured": measured,
            "proxies": self._proxies(description),
            "rollout": run_status.status(
                self._cluster, self._service, description["weights"], description["cohorts"], self._notes
            ),
            "findings": [finding.as_dict() for finding in findings],
            "notes": self._notes,
        }

    def _description(self) -> dict[str, t.Any]:
        try:
            return plan.describe(self._snapshot, self._service, api=self._params["route_api"])
        except CanaryError as error:
            self._notes.append(f"The routes cannot be told: {error.msg}")
            return overview.untold(self._snapshot, self._service)

    def _by_pods(self) -> list[dict[str, t.Any]] | None:
        """Return who gets how many connections where nothing but the pods decides."""
        if overview.is_routed(self._snapshot, self._service):
            return None
        return tracks.by_deployment(self._snapshot, self._service)

    def _proxies(self, description: Mapping[str, t.Any]) -> dict[str, t.Any] | None:
        """Look once whether the proxies hold the routes as they are; nothing is waited for."""
        if not self._params["proxies"]:
            return None
        if description["route_api"] is None:
            self._notes.append(
                "Whether the proxies hold the routes is not known: what they should hold cannot be told."
            )
            return None
        once = {**self._params, "wait_timeout": 0.0, "wait_settle": 0.0, "wait_sample": self._params["proxy_sample"]}
        http_routes = self._snapshot.those(description["objects"], "HTTPRoute")
        snapshots = (self._snapshot, self._snapshot)
        try:
            return wait_for_proxies(
                self._cluster, self._service, snapshots, once, self._log, http_routes=http_routes
            ).as_dict()
        except CanaryError as error:
            self._notes.append(f"Whether the proxies hold the routes is not known: {error.msg}")
            return None


def _check(params: Mapping[str, t.Any]) -> None:
    for option, least in (("window", 1.0), ("sample_seconds", 0.0), ("proxy_sample", 0)):
        if params[option] < least:
            raise InvalidInput(f"{option} must be {least:g} or more, not {params[option]:g}.")


def _named(params: Mapping[str, t.Any], name: str) -> ServiceRef:
    return ServiceRef(name, params["namespace"], params["cluster_domain"], params["istio_namespace"])


def _services(cluster: Cluster, snapshot: Snapshot, params: Mapping[str, t.Any]) -> list[ServiceRef]:
    """Return the service that is named, or all of the namespace with routes, a canary or the record of a rollout."""
    if params["service"]:
        is_there = snapshot.services is None or any(
            identity(one) == (params["namespace"], params["service"]) for one in snapshot.services
        )
        if not is_there:
            raise ApiError(
                f"There is no Service {params['service']} in namespace {params['namespace']}. "
                f"Look with: kubectl -n {params['namespace']} get services",
                404,
                reason="NotFound",
            )
        return [_named(params, params["service"])]
    names = sorted(identity(one)[1] for one in snapshot.need("services") if identity(one)[0] == params["namespace"])
    known = [_named(params, name) for name in names]
    shared = [one for one in known if overview.is_routed(snapshot, one) or tracks.has_canary(snapshot, one)]
    others = [one for one in known if one not in shared]  # a rollout by pods needs no routes
    shared += [one for one, found in in_parallel(lambda one: RunStore(cluster, one).exists(), others) if found is True]
    return [one for one in known if one in shared]


def _sentence(told: list[dict[str, t.Any]], params: Mapping[str, t.Any]) -> str:
    if not told:
        return f"No service of namespace {params['namespace']} has routes, subsets, a canary or a rollout."
    lines = []
    for one in told:
        wrong = sum(finding["severity"] == "error" for finding in one["findings"])
        lines.append(f"{one['service']}: {_shares(one) or 'no routes'}{f', {wrong} errors found' if wrong else ''}")
    return "; ".join(lines)


def _shares(told: Mapping[str, t.Any]) -> str:
    by_pods = {one["deployment"]: one["share"] for one in told["by_pods"] or () if one["share"]}
    return shares_in_words(told["weights"]) or (f"{shares_in_words(by_pods)} by pods" if len(by_pods) > 1 else "")
