# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records the weights in a service's VirtualService and the ready pods of its versions while the demo runs.

It has a client and rules of its own, so that the report shows the cluster's state and not the collection's view of it.
"""

from __future__ import annotations

import threading
import time
import typing as t

import kubernetes
import urllib3

from .results import EVERYBODY

PERIOD = 0.5
Changes = list[tuple[float, dict[str, int]]]


class ServiceWatcher:
    """A thread that polls twice a second and records changes; use it as a context manager."""

    def __init__(self, kubeconfig: str, namespace: str, service: str, users: t.Sequence[str]) -> None:
        api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
        self._objects, self._apps = kubernetes.client.CustomObjectsApi(api), kubernetes.client.AppsV1Api(api)
        self._autoscalers = kubernetes.client.AutoscalingV2Api(api)
        self._namespace, self._service = namespace, service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.weights: dict[str, Changes] = {cohort: [] for cohort in (EVERYBODY, *users)}
        self.replicas: Changes = []

    def __enter__(self) -> ServiceWatcher:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def ready(self, version: str) -> int:
        """Return how many pods of a version were ready at the last poll."""
        return self.replicas[-1][1].get(version, 0) if self.replicas else 0

    def is_below_target(self, version: str) -> bool:
        """Return whether the version uses no more CPU than its autoscaler's target; False if that cannot be read."""
        try:
            found = self._autoscalers.read_namespaced_horizontal_pod_autoscaler(
                f"{self._service}-{version}", self._namespace
            )
            targets = {one.resource.name: one.resource.target.average_utilization for one in found.spec.metrics}
            current = {
                one.resource.name: one.resource.current.average_utilization for one in found.status.current_metrics
            }
            return all(current[name] <= target for name, target in targets.items())
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, AttributeError, KeyError, TypeError):
            return False

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            try:
                self._poll()
            except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
                continue  # The objects do not exist yet, or no more: there is no entry for that time.

    def _poll(self) -> None:
        found = self._objects.list_namespaced_custom_object(
            "networking.istio.io", "v1", self._namespace, "virtualservices"
        )
        for item in found["items"]:
            if any(host.split(".")[0] == self._service for host in item["spec"].get("hosts", [])):
                for cohort, changes in self.weights.items():
                    _append_change(changes, weights_of(item, None if cohort == EVERYBODY else cohort))
        selector = f"app={self._service}"
        deployments = self._apps.list_namespaced_deployment(self._namespace, label_selector=selector).items
        pods = {d.metadata.name.removeprefix(f"{self._service}-"): d.status.ready_replicas or 0 for d in deployments}
        _append_change(self.replicas, pods)


def weights_of(virtual_service: t.Mapping[str, t.Any], user: str | None) -> dict[str, int]:
    """Return version -> weight for the requests of `user` (header end-user, exactly), None: of everybody else.

    The first route that matches wins; a match without headers tests only the source of a request. A single destination
    needs no weight. Empty if no route matches.
    """
    for route in virtual_service["spec"].get("http", []):
        users = [match.get("headers", {}).get("end-user", {}).get("exact") for match in route.get("match", [{}])]
        if None in users or user in users:
            parts = route.get("route", [])
            return {p["destination"].get("subset", "?"): p.get("weight", 100 if len(parts) == 1 else 0) for p in parts}
    return {}


def _append_change(changes: Changes, current: dict[str, int]) -> None:
    if current and (not changes or changes[-1][1] != current):
        changes.append((time.time(), current))
