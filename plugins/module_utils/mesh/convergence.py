# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait on evidence: read the proxies until each holds what was written. `routes/envoy.py` says what is missing."""

from __future__ import annotations

import functools
import random
import re
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..envoy.config_dump import healthy_endpoints, known_clusters, passed_through
from ..errors import ApiError
from ..objects.metadata import identity
from . import affected
from .proxies import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, WAYPOINT_LISTENER, Proxies, Proxy, in_parallel

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..envoy.expected_routes import ProxyAttributes, RoutedService
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..routing.kinds import RouteKind

    Log = Callable[[str], None]

FIRST_PAUSE: t.Final = 0.1  # istiod waits at least so long before it pushes (PILOT_DEBOUNCE_AFTER)
SECOND_PAUSE: t.Final = 0.03  # another look takes 3 ms through an open tunnel; each pause is longer than the one before
LONGEST_PAUSE: t.Final = 2.0
REPORT_EVERY: t.Final = 5.0
SHOWN: t.Final = 10
TRIES: t.Final = 3


@dataclass
class Convergence:
    """What is known about the proxies.

    method: proxies (read), fixed_delay (waited only), skipped, none. converged: True if every proxy concerned was
    read and holds the routes, False if one does not, None if it is not known.
    pending: what each one behind still lacks.
    """

    method: str
    converged: bool | None = None
    proxies: int = 0
    checked: int = 0
    seconds: float = 0.0
    pending: list[str] = field(default_factory=list)
    note: str = ""
    without_effect: bool = False
    """Proxies hold the routes, and `pending` says why these have no effect; waiting does not change that."""

    def as_dict(self) -> dict[str, t.Any]:
        """Return the key `convergence` of a task's result."""
        return {
            "method": self.method,
            "converged": self.converged,
            "proxies": self.proxies,
            "checked": self.checked,
            "seconds": round(self.seconds, 3),
            "pending": self.pending[:SHOWN],
            "note": self.note,
        }


def wait_for_proxies(
    cluster: Cluster,
    kind: RouteKind,
    before: RoutedService,
    after: RoutedService,
    params: Mapping[str, t.Any],
    log: Log,
    subsets: Collection[str] = (),
) -> Convergence:
    """Read proxies until all hold the new routes and know the `subsets`, at most `wait_timeout` seconds.

    before, after: the change; gateways that only the old routes were bound to must let go of them.
    Waits `settle_seconds` seconds more where some proxies could not be read, and says so in the note.
    """
    started = time.monotonic()
    client = Proxies(cluster, params["istio_namespace"])
    found = affected.find(cluster, client, kind, before, after)
    check = _RouteCheck(client, kind, after, frozenset(subsets), found.proxies)
    return _watched(check, found, params, log, started)


def wait_for_endpoints(
    cluster: Cluster,
    kind: RouteKind,
    before: RoutedService,
    after: RoutedService,
    params: Mapping[str, t.Any],
    log: Log,
    destinations: Collection[tuple[str, str]],
) -> Convergence:
    """Read proxies until all know a healthy endpoint of every destination, at most `wait_timeout` seconds.

    destinations: (host, subset). The rest as in `wait_for_proxies`; nothing is waited for where proxies cannot be read,
    for nothing was written.
    """
    started = time.monotonic()
    client = Proxies(cluster, params["istio_namespace"])
    found = affected.find(cluster, client, kind, before, after)
    check = _EndpointCheck(client, after.service, frozenset(destinations))
    return _watched(check, found, {**params, "settle_seconds": 0.0}, log, started)


def _watched(
    check: _RouteCheck | _EndpointCheck,
    found: affected.Affected,
    params: Mapping[str, t.Any],
    log: Log,
    started: float,
) -> Convergence:
    complete, notes = not found.notes, list(found.notes)
    if complete and not found.proxies:
        return Convergence("none", note="No proxy of the mesh uses these routes, so no proxy was read.")
    chosen = affected.sample(random.sample(list(found.proxies), len(found.proxies)), params["wait_sample"])
    if len(chosen) < len(found.proxies):
        notes.append(f"{len(chosen)} of {len(found.proxies)} proxies were read, chosen at random (wait_sample).")
    watch = _Watch(check, log)
    watch.run(chosen, started + params["wait_timeout"])
    if watch.unreadable:
        complete = False
        proxy, error = next(iter(sorted(watch.unreadable.items())))
        notes.append(f"{len(watch.unreadable)} of {len(chosen)} proxies could not be read; {proxy}: {error.msg}")
    if watch.not_applying and not watch.checked + len(watch.pending) + len(watch.without_effect):
        complete = False
        notes.append("No proxy of the mesh uses these routes: none sees the service, or another object has its host.")
        return Convergence("none", note=" ".join(notes))
    if watch.hidden:
        notes.append(
            f"{len(watch.hidden)} of {len(chosen)} proxies do not see {check.service.name}, such as {watch.hidden[0]}: "
            "a Sidecar resource or exportTo hides it. If they call it all the same, the weights have no effect."
        )
    if not complete:
        notes.append(f"Waited {params['settle_seconds']:g} s for the proxies that were not read.")
        time.sleep(params["settle_seconds"])
    return Convergence(
        method="proxies" if watch.checked or watch.without_effect else "fixed_delay",
        converged=False if watch.pending or watch.without_effect else (True if complete else None),
        proxies=len(found.proxies) - watch.gone - watch.not_applying,
        checked=watch.checked,
        seconds=time.monotonic() - started,
        pending=[
            f"{proxy}: {'; '.join(missing)}"
            for behind in (watch.pending, watch.without_effect)
            for proxy, missing in sorted(behind.items())
        ],
        note=" ".join(notes),
        without_effect=bool(watch.without_effect) and not watch.pending,
    )


class Reading(t.NamedTuple):
    """What one proxy has. missing: what it still lacks. without_effect: what it has and does not act by.

    applies: whether it should have any of it. hidden: it is in the service's namespace and does not see the service;
    there that is a mistake more often than elsewhere.
    """

    missing: list[str]
    without_effect: Sequence[str] = ()
    applies: bool = True
    hidden: bool = False


@dataclass
class _RouteCheck:
    """What every proxy must have before it counts as converged."""

    client: Proxies
    kind: RouteKind
    routed: RoutedService
    subsets: frozenset[str]
    known: Mapping[Proxy, ProxyAttributes]

    @property
    def service(self) -> ServiceRef:
        return self.routed.service

    def read(self, proxy: Proxy) -> Reading:
        """Return what the proxy still lacks.

        A sidecar without any cluster of the service cannot send it a request (a Sidecar resource limits what it
        sees), so nothing is missing there, and nothing is proven.
        """
        if not proxy.is_gateway and not self.kind.applies(self.routed, self.known[proxy]):
            return Reading([], applies=False)
        routes = self._routes(proxy)
        lacking = self.kind.missing_routes(routes, self.routed, self.known[proxy])
        destinations = self._destinations
        if not lacking and not self.subsets and not destinations:
            return Reading([])
        hosts = {self.service.fqdn, *(host for host, _subset in destinations)}
        clusters = self.client.config_dump(proxy, (CLUSTERS,), _clusters_of(hosts))
        known = known_clusters(clusters)
        seen = {subset for host, subset in known if host == self.service.fqdn}
        if not seen and proxy.is_sidecar:
            return Reading([], applies=False, hidden=proxy.namespace == self.service.namespace)
        unknown = (self.subsets - seen) if seen else set()
        unknown |= {subset for host, subset in _hidden_subsets(destinations, known) if host == self.service.fqdn}
        past = sorted(subset or host.split(".")[0] for host, subset in passed_through(clusters) & destinations)
        effect = [f"requests for {', '.join(past)} go to the address that the caller has resolved"] if past else []
        return Reading([*(f"no cluster of subset {one} yet" for one in sorted(unknown)), *lacking], effect)

    def _routes(self, proxy: Proxy) -> dict[str, t.Any]:
        """Return the part of the proxy's configuration that has its routes."""
        if proxy.is_waypoint:
            return self.client.config_dump(proxy, (LISTENERS,), WAYPOINT_LISTENER)
        resources = self.kind.dump_resources(self.routed)
        return self.client.config_dump(proxy, resources, "" if proxy.is_gateway else self._names(resources))

    @functools.cached_property
    def _destinations(self) -> frozenset[tuple[str, str]]:
        """Return (host, subset) of the service's versions that get requests: where weights must have their effect."""
        objects = self.routed.objects
        live = {one for obj in objects for one in self.kind.destinations(obj, self.service.domain)}
        hosts = self.kind.version_hosts(self.routed)
        return frozenset(one for one in live if hosts is None or one[0] in hosts)

    def _names(self, resources: Sequence[str]) -> str:
        """Return the pattern of a sidecar's route configurations for the service: its ports. Keeps the dump small."""
        own = (self.service.namespace, self.service.name)
        services = [one for one in self.routed.snapshot.services or () if identity(one) == own]
        ports = [str(port["port"]) for one in services for port in one["spec"].get("ports") or ()]
        return f"^(.*:)?({'|'.join(ports)})$" if ports and list(resources) == [ROUTES] else ""


@dataclass
class _EndpointCheck:
    """What every proxy must know before it sends requests to new destinations."""

    client: Proxies
    service: ServiceRef
    destinations: frozenset[tuple[str, str]]

    def read(self, proxy: Proxy) -> Reading:
        """Return which destinations the proxy cannot reach yet.

        A proxy without any cluster of the service does not call it; a gateway may be given the clusters of a host only
        with the routes, but then those of all its subsets. A version's Service or its DestinationRule may be hidden
        from a caller of the service (exportTo).
        """
        hosts = {self.service.fqdn, *(host for host, _subset in self.destinations)}
        pattern = _clusters_of(hosts)
        healthy = healthy_endpoints(self.client.config_dump(proxy, (ENDPOINTS,), pattern))
        unserved = sorted(one for one in self.destinations if not healthy.get(one))
        if not unserved:
            return Reading([])
        known = known_clusters(self.client.config_dump(proxy, (CLUSTERS,), pattern))
        seen = {host for host, _subset in known}
        lacking = []
        for host, subset in unserved:
            name = subset or host.split(".")[0]
            if (host, subset) in known:
                lacking += [f"no healthy endpoint of {name} yet"] if known[host, subset] else []
            elif host in seen or (self.service.fqdn in seen and proxy.is_sidecar):
                lacking.append(f"no cluster of {name} yet")
        return Reading(lacking)


def _hidden_subsets(
    destinations: Collection[tuple[str, str]], known: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return the destinations (host, subset) without a cluster at a proxy that has others of the host.

    The DestinationRule with the subset is not exported to the proxy's namespace: such requests fail with 503.
    """
    hosts = {host for host, _subset in known}
    return {one for one in destinations if one[0] in hosts and one not in known}


def _clusters_of(hosts: Collection[str]) -> str:
    """Return the pattern of the names of all clusters of the hosts, in a waypoint too."""
    return rf"^(outbound|inbound-vip)\|.*\|({'|'.join(re.escape(host) for host in sorted(hosts))})$"


class _Watch:
    """Reads the chosen proxies again and again until none is behind."""

    def __init__(self, check: _RouteCheck | _EndpointCheck, log: Log) -> None:
        self._check, self._log = check, log
        self._failures: Counter[Proxy] = Counter()
        self.pending: dict[Proxy, list[str]] = {}
        self.unreadable: dict[Proxy, ApiError] = {}
        self.without_effect: dict[Proxy, list[str]] = {}
        self.checked = 0
        self.gone = 0
        self.not_applying = 0
        self.hidden: list[Proxy] = []

    def run(self, chosen: Sequence[Proxy], deadline: float) -> None:
        """Fill pending, unreadable and checked; return when nobody is behind or the deadline (monotonic) is over."""
        waiting, pause, reported = list(chosen), FIRST_PAUSE, time.monotonic()
        following = SECOND_PAUSE
        while waiting:
            waiting = self._look(waiting)
            now = time.monotonic()
            if not waiting or now >= deadline:
                return
            if now - reported >= REPORT_EVERY:
                self._log(
                    f"{self._check.service.name}: {len(waiting)} of {len(chosen)} proxies do not have the routes yet"
                )
                reported = now
            time.sleep(min(pause, max(deadline - now, 0)))
            pause, following = following, min(following * 1.6, LONGEST_PAUSE)

    def _look(self, waiting: Sequence[Proxy]) -> list[Proxy]:
        """Return those that must be read again."""
        again = []
        for proxy, reading in in_parallel(self._check.read, waiting):
            self.pending.pop(proxy, None)
            if isinstance(reading, ApiError):
                again += [proxy] if self._may_answer_later(proxy, reading) else []
            elif not reading.applies:
                self.not_applying += 1
                self.hidden += [proxy] if reading.hidden else []
            elif reading.missing:
                self.pending[proxy] = reading.missing
                again.append(proxy)
            elif reading.without_effect:
                self.without_effect[proxy] = list(reading.without_effect)
            else:
                self.checked += 1
        return again

    def _may_answer_later(self, proxy: Proxy, error: ApiError) -> bool:
        """A pod that is gone sends nothing; a pod that starts or ends may fail to answer once or twice."""
        self._failures[proxy] += 1
        if error.status not in (403, 404) and self._failures[proxy] < TRIES:
            return True
        if error.status == 404 or (error.status != 403 and self._check.client.is_ending(proxy)):
            self.gone += 1
            return False
        self.unreadable[proxy] = error
        return False
