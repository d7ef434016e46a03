# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_info: the shares of a service's versions, their pods, the state of the proxies, and findings."""

from __future__ import annotations

import time
import typing as t

from ..envoy.expected_routes import RoutedService
from ..errors import ApiError, CanaryError, InvalidInput
from ..evidence import measuring
from ..kube.client import Cluster
from ..mesh.convergence import wait_for_proxies
from ..mesh.proxies import in_parallel
from ..objects import endpoints
from ..objects.metadata import identity
from ..objects.snapshot import PLURALS
from ..objects.weights import weights_text
from ..preflight import inspection
from ..prometheus import Prometheus
from ..replicas import tracks
from ..routing import kinds, overview, plan, version_labels
from ..runs import status
from ..runs.record_store import RunStore
from ..task.argument_spec import CONNECTION, PROMETHEUS, SERVICE, ArgSpec
from ..task.reading import ROUTES, Reader, service_of
from ..writing import rights

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..preflight.inspection import Evidence
    from ..task.context import Context

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


MAX_AT_ONCE: t.Final = 40
"""Services that are measured at the same time: they mostly wait."""
LOOKS: t.Final = 3
"""How often routes and record are read before a difference counts as drift: a rollout writes both, one by one."""
BETWEEN_LOOKS: t.Final = 0.5


def run(params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Return the status of one service, or of all routed services of a namespace."""
    _check(params)
    cluster = Cluster.connect(params, context.env)
    reader = Reader(cluster, _named(params, params["service"] or "*"), wide=True)
    snapshot = reader.snapshot(PLURALS.values(), if_allowed=True)
    server = None if params["measure"] in ("none", "proxies") else Prometheus.from_params(params)
    services = _services(cluster, snapshot, params)
    if params["preflight"]:
        further = {plural for service in services for plural in inspection.further_lists(snapshot, service)}
        snapshot = reader.snapshot(sorted(further), if_allowed=True)
    evidence = None
    if params["preflight"]:
        access = rights.review(cluster, params["namespace"], params["istio_namespace"])
        evidence = rights.evidence(cluster, snapshot, services, access)
    # All at once: each is sampled for seconds, and over the same seconds.
    results = in_parallel(
        lambda service: _ServiceStatus(cluster, snapshot, service, params, context.log).result(server, evidence),
        services,
        MAX_AT_ONCE,
    )
    found = []
    for _service, result in results:
        if isinstance(result, ApiError):
            raise result
        found.append(result)
    return {
        "changed": False,
        "msg": _sentence(found, params),
        "namespace": params["namespace"],
        "services": found,
        "notes": list(dict.fromkeys(reader.notes)),
        "api_requests": cluster.requests,
        "warnings": [*cluster.warnings, *(server.warnings if server else ())],
    }


class _ServiceStatus:
    """The status of one service, part by part; a part that is not known is None and has a note."""

    def __init__(
        self, cluster: Cluster, snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any], log: Log
    ) -> None:
        self._cluster, self._snapshot, self._service = cluster, snapshot, service
        self._params, self._log = params, log
        self._notes: list[str] = []

    def result(self, server: Prometheus | None, evidence: Evidence | None) -> dict[str, t.Any]:
        """Return the service's entry of the result."""
        description = self._description()
        rollout = self._rollout(description)
        names = version_labels.names(self._snapshot, self._service, description)
        measured = measuring.measure(
            self._cluster, self._snapshot, self._service, names, server, self._params, self._notes
        )
        findings = (
            inspection.inspect(self._snapshot, self._service, evidence=evidence) if self._params["preflight"] else []
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
            "rollout": rollout,
            "findings": [finding.as_dict() for finding in findings],
            "notes": self._notes,
        }

    def _rollout(self, description: Mapping[str, t.Any]) -> dict[str, t.Any] | None:
        """Return the status of the rollout. Drift counts only if it is still there in routes read after the record."""
        found = status.status(self._cluster, self._service, description["weights"], description["cohorts"], self._notes)
        for _look in range(LOOKS - 1):
            if not (found and found["drift"]):
                break
            time.sleep(BETWEEN_LOOKS)
            try:
                snapshot = Reader(self._cluster, self._service, wide=True).snapshot(ROUTES)
                now = plan.describe(snapshot, self._service, api=self._params["route_api"])
            except CanaryError:
                break
            found = status.status(self._cluster, self._service, now["weights"], now["cohorts"], self._notes)
        return found

    def _description(self) -> dict[str, t.Any]:
        try:
            return plan.describe(self._snapshot, self._service, api=self._params["route_api"])
        except CanaryError as error:
            self._notes.append(f"The routes are not known: {error.msg}")
            return overview.unknown_description(self._snapshot, self._service)

    def _by_pods(self) -> list[dict[str, t.Any]] | None:
        """Return the share of connections by Deployment where no route decides, else None."""
        if overview.is_routed(self._snapshot, self._service):
            return None
        return tracks.by_deployment(self._snapshot, self._service)

    def _proxies(self, description: Mapping[str, t.Any]) -> dict[str, t.Any] | None:
        """Return whether the proxies have the routes as they are now, without waiting."""
        if not self._params["proxies"]:
            return None
        if description["route_api"] is None:
            self._notes.append("Whether the proxies have the routes is not known, because the routes are not known.")
            return None
        no_wait = {
            **self._params,
            "wait_timeout": 0.0,
            "settle_seconds": 0.0,
            "wait_sample": self._params["proxy_sample"],
        }
        kind = kinds.of_api(description["route_api"])
        routed = RoutedService(self._service, self._snapshot, self._snapshot.select(description["objects"], kind.kinds))
        try:
            return wait_for_proxies(self._cluster, kind, routed, routed, no_wait, self._log).as_dict()
        except CanaryError as error:
            self._notes.append(f"Whether the proxies have the routes is not known: {error.msg}")
            return None


def _check(params: Mapping[str, t.Any]) -> None:
    for option, minimum in (("window", 1.0), ("sample_seconds", 0.0), ("proxy_sample", 0)):
        if params[option] < minimum:
            raise InvalidInput(f"{option} must be {minimum:g} or more, not {params[option]:g}.")


def _named(params: Mapping[str, t.Any], name: str) -> ServiceRef:
    return service_of({**params, "service": name})


def _services(cluster: Cluster, snapshot: Snapshot, params: Mapping[str, t.Any]) -> list[ServiceRef]:
    """Return the given service, or all of the namespace with routes, a canary or the record of a rollout.

    Raises ApiError if the namespace or the service does not exist.
    """
    if snapshot.namespaces is not None and not any(
        identity(one)[1] == params["namespace"] for one in snapshot.namespaces
    ):
        raise ApiError(
            f"There is no namespace {params['namespace']}. Check with: kubectl get namespaces", 404, reason="NotFound"
        )
    if params["service"]:
        named = _named(params, params["service"])
        exists = snapshot.services is None or endpoints.service_object(snapshot, named) is not None
        # The host of a ServiceEntry has routes and no Service.
        if not exists and not overview.is_routed(snapshot, named):
            if named.is_outside:
                raise InvalidInput(
                    f"service: no VirtualService and no DestinationRule has the host {named.name}, so there is nothing "
                    "to report. Check with: kubectl get virtualservices -A."
                )
            raise ApiError(
                f"There is no Service {params['service']} in namespace {params['namespace']}. "
                f"Check with: kubectl -n {params['namespace']} get services",
                404,
                reason="NotFound",
            )
        return [named]
    names = sorted(identity(one)[1] for one in snapshot.need("services") if identity(one)[0] == params["namespace"])
    known = [_named(params, name) for name in names]
    shared = [one for one in known if overview.is_routed(snapshot, one) or tracks.has_canary(snapshot, one)]
    others = [one for one in known if one not in shared]  # a rollout by pods needs no routes
    shared += [one for one, found in in_parallel(lambda one: RunStore(cluster, one).exists(), others) if found is True]
    return [one for one in known if one in shared]


def _sentence(services: list[dict[str, t.Any]], params: Mapping[str, t.Any]) -> str:
    if not services:
        return f"No service of namespace {params['namespace']} has routes, subsets, a canary or a rollout."
    lines = []
    for one in services:
        errors = sum(finding["severity"] == "error" for finding in one["findings"])
        lines.append(f"{one['service']}: {_shares(one) or 'no routes'}{f', {errors} errors found' if errors else ''}")
    return "; ".join(lines)


def _shares(service: Mapping[str, t.Any]) -> str:
    by_pods = {one["deployment"]: one["share"] for one in service["by_pods"] or () if one["share"]}
    return weights_text(service["weights"]) or (f"{weights_text(by_pods)} by pods" if len(by_pods) > 1 else "")
