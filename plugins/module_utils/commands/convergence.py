# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait on evidence: read the proxies until each holds what was written. `routes/envoy.py` says what is missing."""

from __future__ import annotations

import random
import re
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..errors import ApiError
from ..proxies import CLUSTERS, ENDPOINTS, ROUTES, Proxies, Proxy, in_parallel
from ..routes import envoy, envoy_gateway
from ..routes.gateway_parents import gateways, parents
from ..routes.snapshot import identity
from . import concerned

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot

    Log = Callable[[str], None]

FIRST_PAUSE: t.Final = 0.04  # a second look takes 3 ms through an open tunnel, istiod at least 100 ms to push
LONGEST_PAUSE: t.Final = 2.0
REPORT_EVERY: t.Final = 5.0
SHOWN: t.Final = 10
TRIES: t.Final = 3


@dataclass
class Convergence:
    """What is known about the proxies.

    method: proxies (read), settle (waited only), skipped, none. converged: True if every proxy concerned was read and
    holds the routes, False if one does not, None if it is not known. pending: what each one behind still lacks.
    """

    method: str
    converged: bool | None = None
    proxies: int = 0
    checked: int = 0
    seconds: float = 0.0
    pending: list[str] = field(default_factory=list)
    note: str = ""

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
    service: ServiceRef,
    snapshots: tuple[Snapshot, Snapshot],
    params: Mapping[str, t.Any],
    log: Log,
    subsets: Collection[str] = (),
    http_routes: Sequence[Object] = (),
) -> Convergence:
    """Read proxies until all hold the new routes and know the `subsets`, at most `wait_timeout` seconds.

    snapshots: before and after the change; gateways that only the old routes were bound to must let go of them.
    http_routes: the HTTPRoutes as they are after the change, where they route the service and no VirtualService does.
    Waits `wait_settle` seconds more where some proxies could not be read, and says so in the note.
    """
    started = time.monotonic()
    door = Proxies(cluster, params["istio_namespace"])
    found = _find(cluster, door, service, snapshots, http_routes)
    question = _Question(door, service, snapshots[1], frozenset(subsets), found.proxies, http_routes)
    return _watched(question, found, params, log, started)


def wait_for_endpoints(
    cluster: Cluster,
    service: ServiceRef,
    snapshots: tuple[Snapshot, Snapshot],
    params: Mapping[str, t.Any],
    log: Log,
    places: Collection[tuple[str, str]],
    http_routes: Sequence[Object] = (),
) -> Convergence:
    """Read proxies until all know a healthy endpoint of every place (host, subset), at most `wait_timeout` seconds.

    The rest as in `wait_for_proxies`; nothing is waited for where proxies cannot be read, for nothing was written.
    """
    started = time.monotonic()
    door = Proxies(cluster, params["istio_namespace"])
    found = _find(cluster, door, service, snapshots, http_routes)
    question = _Endpoints(door, service, frozenset(places))
    return _watched(question, found, {**params, "wait_settle": 0.0}, log, started)


def _find(
    cluster: Cluster,
    door: Proxies,
    service: ServiceRef,
    snapshots: tuple[Snapshot, Snapshot],
    http_routes: Sequence[Object],
) -> concerned.Concerned:
    if http_routes:
        return concerned.find_for_http_routes(cluster, door, service, http_routes)
    return concerned.find(cluster, door, service, snapshots)


def _watched(
    question: _Question | _Endpoints,
    found: concerned.Concerned,
    params: Mapping[str, t.Any],
    log: Log,
    started: float,
) -> Convergence:
    complete, notes = not found.notes, list(found.notes)
    if complete and not found.proxies:
        return Convergence("none", note="No proxy of the mesh obeys these routes, so none was read.")
    chosen = concerned.sample(random.sample(list(found.proxies), len(found.proxies)), params["wait_sample"])
    if len(chosen) < len(found.proxies):
        notes.append(f"{len(chosen)} of {len(found.proxies)} proxies were read, chosen at random (wait_sample).")
    watch = _Watch(question, log)
    watch.run(chosen, started + params["wait_timeout"])
    if watch.unreadable:
        complete = False
        proxy, error = next(iter(sorted(watch.unreadable.items())))
        notes.append(f"{len(watch.unreadable)} of {len(chosen)} proxies could not be read; {proxy}: {error.msg}")
    if not complete:
        notes.append(f"Waited {params['wait_settle']:g} s for the proxies that were not read.")
        time.sleep(params["wait_settle"])
    return Convergence(
        method="proxies" if watch.checked else "settle",
        converged=False if watch.pending else (True if complete else None),
        proxies=len(found.proxies) - watch.gone,
        checked=watch.checked,
        seconds=time.monotonic() - started,
        pending=[f"{proxy}: {'; '.join(missing)}" for proxy, missing in sorted(watch.pending.items())],
        note=" ".join(notes),
    )


@dataclass
class _Question:
    """What every proxy is asked."""

    door: Proxies
    service: ServiceRef
    snapshot: Snapshot
    subsets: frozenset[str]
    known: Mapping[Proxy, envoy.Proxy]
    http_routes: Sequence[Object] = ()

    def missing(self, proxy: Proxy) -> list[str]:
        """Return what the proxy still lacks.

        A sidecar without any cluster of the service cannot send it a request (a Sidecar resource limits what it
        sees), so nothing is missing there.
        """
        routes = self.door.config_dump(proxy, self._resources(), "" if proxy.is_gateway else self._names())
        lacking = self._lacking(proxy, routes)
        if not lacking and not self.subsets:
            return []
        clusters = self.door.config_dump(proxy, (CLUSTERS,), rf"^outbound\|.*\|{re.escape(self.service.fqdn)}$")
        names = [str((one.get("cluster") or {}).get("name")).split("|") for one in clusters["configs"]]
        if not names and not proxy.is_gateway:
            return []
        unknown = sorted(self.subsets - {name[2] for name in names}) if names else []
        return [*(f"no cluster of subset {one} yet" for one in unknown), *lacking]

    def _lacking(self, proxy: Proxy, routes: Mapping[str, t.Any]) -> list[str]:
        if not self.http_routes:
            return list(envoy.holds(routes, self.service, self.snapshot, self.known[proxy]))
        attached = gateways if proxy.is_gateway else parents
        return envoy_gateway.holds(routes, [one for one in self.http_routes if attached(one)], self.service.domain)

    def _resources(self) -> list[str]:
        if self.http_routes:
            return [ROUTES]
        return envoy.resources_needed(self.snapshot, self.service)

    def _names(self) -> str:
        """Return the pattern of a sidecar's route configurations for the service: its ports. Keeps the dump small."""
        own = (self.service.namespace, self.service.name)
        services = [one for one in self.snapshot.services or () if identity(one) == own]
        ports = [str(port["port"]) for one in services for port in one["spec"].get("ports") or ()]
        return f"^(.*:)?({'|'.join(ports)})$" if ports and self._resources() == [ROUTES] else ""


@dataclass
class _Endpoints:
    """What every proxy is asked before it is to send requests to places it did not send to."""

    door: Proxies
    service: ServiceRef
    places: frozenset[tuple[str, str]]

    def missing(self, proxy: Proxy) -> list[str]:
        """Return which places the proxy cannot reach yet.

        A proxy without any cluster of a host does not call it; a gateway may be given clusters only with the routes.
        """
        hosts = {host for host, _subset in self.places}
        pattern = rf"^outbound\|.*\|({'|'.join(re.escape(host) for host in sorted(hosts))})$"
        healthy = envoy.healthy_endpoints(self.door.config_dump(proxy, (ENDPOINTS,), pattern))
        unserved = sorted(place for place in self.places if not healthy.get(place))
        if not unserved:
            return []
        known = envoy.known_places(self.door.config_dump(proxy, (CLUSTERS,), pattern))
        seen = {host for host, _subset in known}
        lacking = []
        for host, subset in unserved:
            name = subset or host.split(".")[0]
            if (host, subset) in known:
                lacking += [f"no healthy endpoint of {name} yet"] if known[host, subset] else []
            elif host in seen and not proxy.is_gateway:
                lacking.append(f"no cluster of {name} yet")
        return lacking


class _Watch:
    """Reads the chosen proxies again and again until none is behind."""

    def __init__(self, question: _Question | _Endpoints, log: Log) -> None:
        self._question, self._log = question, log
        self._failures: Counter[Proxy] = Counter()
        self.pending: dict[Proxy, list[str]] = {}
        self.unreadable: dict[Proxy, ApiError] = {}
        self.checked = 0
        self.gone = 0

    def run(self, chosen: Sequence[Proxy], deadline: float) -> None:
        """Fill pending, unreadable and checked; return when nobody is behind or the deadline (monotonic) is over."""
        waiting, pause, reported = list(chosen), FIRST_PAUSE, time.monotonic()
        while waiting:
            waiting = self._look(waiting)
            now = time.monotonic()
            if not waiting or now >= deadline:
                return
            if now - reported >= REPORT_EVERY:
                self._log(f"{self._question.service.name}: {len(waiting)} of {len(chosen)} proxies are still behind")
                reported = now
            time.sleep(min(pause, max(deadline - now, 0)))
            pause = min(pause * 1.6, LONGEST_PAUSE)

    def _look(self, waiting: Sequence[Proxy]) -> list[Proxy]:
        """Return those that must be read again."""
        again = []
        for proxy, missing in in_parallel(self._question.missing, waiting):
            self.pending.pop(proxy, None)
            if isinstance(missing, ApiError):
                again += [proxy] if self._may_answer_later(proxy, missing) else []
            elif missing:
                self.pending[proxy] = missing
                again.append(proxy)
            else:
                self.checked += 1
        return again

    def _may_answer_later(self, proxy: Proxy, error: ApiError) -> bool:
        """A pod that is gone sends nothing; a pod that starts or ends may fail to answer once or twice."""
        self._failures[proxy] += 1
        if error.status not in (403, 404) and self._failures[proxy] < TRIES:
            return True
        if error.status == 404 or (error.status != 403 and self._question.door.is_ending(proxy)):
            self.gone += 1
            return False
        self.unreadable[proxy] = error
        return False
