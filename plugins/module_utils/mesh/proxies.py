# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only access to istiod and Envoy: which proxies there are, what they hold, what they counted.

Nothing here judges; `routes/envoy.py` reads the configuration, `analysis` the numbers.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
import re
import time
import typing as t
import weakref
from dataclasses import dataclass
from urllib.parse import urlencode

from ..envoy import config_dump
from ..errors import ApiError
from ..kube.resources import POD
from ..objects import json_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..kube.client import Cluster

    Object = dict[str, t.Any]

ISTIOD_DEBUG_PORT: t.Final = 15014
ENVOY_ADMIN_PORT: t.Final = 15000
ENVOY_STATS_PORT: t.Final = 15090
THREADS: t.Final = 8
ZTUNNEL: t.Final = "ztunnel"
ROUTES: t.Final = "dynamic_route_configs"
CLUSTERS: t.Final = "dynamic_active_clusters"
ENDPOINTS: t.Final = "dynamic_endpoint_configs"
LISTENERS: t.Final = "dynamic_listeners"
WAYPOINT_LISTENER: t.Final = "^main_internal$"
"""The name of the listener in which a waypoint has its routes."""

T = t.TypeVar("T")
R = t.TypeVar("R")


@dataclass(frozen=True, order=True)
class Proxy:
    """One Envoy that is connected to istiod. namespace, name: of its pod.

    is_gateway: it applies the routes of Gateways. is_waypoint: it applies those of services in ambient mode. Sidecars
    are neither.
    """

    namespace: str
    name: str
    is_gateway: bool = False
    is_waypoint: bool = False

    @property
    def is_sidecar(self) -> bool:
        """Return whether it is the proxy of one pod, whose requests it routes."""
        return not self.is_gateway and not self.is_waypoint

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Sample(t.NamedTuple):
    """One line of a Prometheus text: `name{labels} value`."""

    name: str
    labels: Mapping[str, str]
    value: float


REPLICAS_SECONDS: t.Final = 10.0
"""How long the pods of istiod are known. A pod that connects to a newer one gets the newest routes with the connection.

The API server waits for its watch cache before it answers a list, up to 0.1 s after any write.
"""
_replicas_of: weakref.WeakKeyDictionary[Cluster, tuple[str, float, list[str]]] = weakref.WeakKeyDictionary()


class Proxies:
    """The mesh's proxies, as istiod and the API server know them."""

    def __init__(self, cluster: Cluster, istio_namespace: str = "istio-system") -> None:
        self._cluster = cluster
        self._istio_namespace = istio_namespace

    def connected(self) -> list[Proxy]:
        """Return every Envoy connected to any istiod; each istiod knows only its own, so all are read.

        ztunnels are left out: they have no routes.

        Raises ApiError without the right to list pods of Istio's namespace and to forward ports of istiod's,
        or if no istiod is running.
        """
        found = self.sync_status()
        with understood(f"istiod in {self._istio_namespace}", "/debug/syncz"):
            return sorted({_proxy_of(entry) for entry in found if _type_of(entry) != ZTUNNEL})

    def sync_status(self) -> list[Object]:
        """Return istiod's `/debug/syncz` of all replicas: per proxy and type of configuration, sent and acked nonce."""
        replicas = self._replicas()
        answers = in_parallel(self._syncz, replicas)
        for _replica, answer in answers:
            if isinstance(answer, ApiError):
                _replicas_of.pop(self._cluster, None)
                raise answer
        return [entry for _replica, answer in answers if not isinstance(answer, ApiError) for entry in answer]

    def _replicas(self) -> list[str]:
        """Return the pods of istiod. They are read again after REPLICAS_SECONDS, and when one does not answer."""
        known = _replicas_of.get(self._cluster)
        if known and known[:1] == (self._istio_namespace,) and time.monotonic() - known[1] < REPLICAS_SECONDS:
            return known[2]
        replicas = [
            pod["metadata"]["name"]
            for pod in self._cluster.list(POD, self._istio_namespace, label_selector="app=istiod")
            if (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]
        if not replicas:
            raise ApiError(
                f"No running istiod (pods with the label app=istiod) in namespace {self._istio_namespace}. "
                "Set istio_namespace if Istio runs elsewhere.",
                reason="NoIstiod",
            )
        _replicas_of[self._cluster] = (self._istio_namespace, time.monotonic(), replicas)
        return replicas

    def _syncz(self, pod: str) -> list[Object]:
        body = self._cluster.port_forward(self._istio_namespace, pod, ISTIOD_DEBUG_PORT, "/debug/syncz")
        source = f"istiod {self._istio_namespace}/{pod}"
        with understood(source, "/debug/syncz"):
            entries = json_text.parse(body) or []
            if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
                raise TypeError("a list of objects was expected")
            return entries

    def is_ending(self, proxy: Proxy) -> bool:
        """Return whether the proxy's pod is gone, being deleted or finished; False if that cannot be read."""
        try:
            pod = self._cluster.get(POD, proxy.namespace, proxy.name)
        except ApiError:
            return False
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return True
        return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")

    def config_dump(self, proxy: Proxy, kinds: Sequence[str] = (ROUTES,), name_pattern: str = "") -> Object:
        """Return `{"configs": [...]}`: Envoy's dump of the given kinds, in one dictionary.

        kinds: ROUTES, CLUSTERS, LISTENERS, ENDPOINTS. name_pattern: regular expression on the resource's name; with it
        a big mesh's dump stays small. A kind of which the proxy holds nothing adds nothing.
        """
        configs: list[Object] = []
        for kind in kinds:
            query = {"resource": kind, **({"name_regex": name_pattern} if name_pattern else {})}
            if kind == ENDPOINTS:
                query["include_eds"] = ""
            try:
                body = self._cluster.port_forward(
                    proxy.namespace, proxy.name, ENVOY_ADMIN_PORT, f"/config_dump?{urlencode(query)}"
                )
            except ApiError as error:
                if error.status == 404 and error.details.get("reason") == "portforward":
                    continue
                raise
            with understood(f"Envoy of {proxy}", "/config_dump"):
                configs += _configs(json_text.parse_mapping(body).get("configs"), kind)
        return {"configs": configs}

    def counters(self, namespace: str, pod: str, pattern: str) -> list[Sample]:
        """Return the proxy's own counters whose Envoy name matches the regular expression `pattern`.

        Right: get on pods/proxy. No scrape interval: the numbers are of this moment.
        """
        path = f"/stats/prometheus?usedonly&{urlencode({'filter': pattern})}"
        body = self._cluster.pod_proxy_get(namespace, pod, ENVOY_STATS_PORT, path)
        samples = parse_samples(body.decode(errors="replace"))
        return [one for one in samples if 0 <= one.value < math.inf]  # NaN is no count

    def endpoints(self, proxy: Proxy, pattern: str) -> tuple[list[Sample], int]:
        """Return the numbers that the proxy has of each endpoint (`rq_total`, `rq_active`), which Istio never hides.

        Second is the size of what was read, in bytes: an Envoy that does not know the filter yet answers with all its
        clusters. pattern: regular expression on the cluster's name. Labels: `cluster_name`, `address`.
        Right: port-forward to the pod.
        """
        path = f"/clusters?{urlencode({'filter': pattern})}"
        body = self._cluster.port_forward(proxy.namespace, proxy.name, ENVOY_ADMIN_PORT, path)
        wanted = re.compile(pattern)
        found = parse_endpoints(body.decode(errors="replace"))
        return [one for one in found if wanted.search(one.labels["cluster_name"])], len(body)


def in_parallel(function: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> list[tuple[T, R | ApiError]]:
    """Return each item with what `function` returned for it, or with the ApiError it raised; in order.

    threads: how many at once. Each first use of the API server by another thread greets it anew, which takes both
    sides as long as some small answers do.
    """
    todo = list(items)

    def attempt(item: T) -> R | ApiError:
        try:
            return function(item)
        except ApiError as error:
            return error

    if min(threads, len(todo)) <= 1:
        return [(item, attempt(item)) for item in todo]
    with concurrent.futures.ThreadPoolExecutor(min(threads, len(todo))) as pool:
        return list(zip(todo, pool.map(attempt, todo), strict=True))


_NUMBER: t.Final = r"([+-]?(?:Inf|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)|NaN)"
_SAMPLE: t.Final = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{(.*)\}})?\s+{_NUMBER}(?:\s|$)")
_LABEL: t.Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse_samples(text: str) -> Iterable[Sample]:
    """Yield the samples of Prometheus' text format; lines that are none are comments."""
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            labels = {name: _unescape(value) for name, value in _LABEL.findall(match[2] or "")}
            yield Sample(match[1], labels, float(match[3]))


def parse_endpoints(text: str) -> Iterable[Sample]:
    """Yield the numbers of Envoy's page `/clusters`, lines of `CLUSTER::ADDRESS::NAME::NUMBER`, that count requests."""
    for line in text.splitlines():
        place, _colons, said = line.partition("::rq_")
        name, _colons, value = said.partition("::")
        cluster, _colons, address = place.partition("::")
        if value.isascii() and value.isdigit() and math.isfinite(float(value)):
            yield Sample(f"rq_{name}", {"cluster_name": cluster, "address": address}, float(value))


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def _proxy_of(entry: Object) -> Proxy:
    """istiod names a proxy `pod.namespace`; a pod's name may have dots, a namespace cannot."""
    name, _dot, namespace = str(entry["proxy"]).rpartition(".")
    return Proxy(namespace, name, _type_of(entry) == "router", _type_of(entry) == "waypoint")


def _type_of(entry: Object) -> str:
    return str(entry.get("proxy_type") or "").lower()


def _configs(configs: t.Any, kind: str) -> list[Object]:
    """Return the parts of a dump, all of which can be read. Raises as reading them does."""
    if not isinstance(configs, (list, type(None))) or not all(isinstance(one, dict) for one in configs or ()):
        raise TypeError("a list of objects was expected as configs")
    config_dump.check({"configs": configs or []}, kind)
    return configs or []


@contextlib.contextmanager
def understood(source: str, page: str) -> Iterator[None]:
    """Raise ApiError where what `source` answered to `page` has another shape than the code in the block knows."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ApiError(
            f"{source} answered {page} with something that cannot be read ({type(error).__name__}: {error}). "
            "Check with istioctl version that control plane and proxies are of a supported release.",
            reason="unreadable",
        ) from error
