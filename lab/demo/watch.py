# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches a service while the demo runs: the weights in its VirtualService and the ready pods of its versions.

Reads with a client of its own and by rules of its own, so that the report does not repeat what the collection believes.
"""

from __future__ import annotations

import threading
import time
import typing as t

import kubernetes
import urllib3

from .result import EVERYBODY

PERIOD = 0.5
Course = list[tuple[float, dict[str, int]]]


class Watch:
    """A thread that looks twice a second and writes down what has changed; use it as a context manager."""

    def __init__(self, kubeconfig: str, namespace: str, service: str, users: t.Sequence[str]) -> None:
        api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
        self._objects, self._apps = kubernetes.client.CustomObjectsApi(api), kubernetes.client.AppsV1Api(api)
        self._autoscalers = kubernetes.client.AutoscalingV2Api(api)
        self._namespace, self._service = namespace, service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.weights: dict[str, Course] = {who: [] for who in (EVERYBODY, *users)}
        self.replicas: Course = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def ready(self, version: str) -> int:
        """Return how many pods of a version were ready at the last look."""
        return self.replicas[-1][1].get(version, 0) if self.replicas else 0

    def is_calm(self, version: str) -> bool:
        """Return whether the version's autoscaler sees no more CPU used than it aims at; False if it cannot be read."""
        try:
            found = self._autoscalers.read_namespaced_horizontal_pod_autoscaler(
                f"{self._service}-{version}", self._namespace
            )
            aims = {one.resource.name: one.resource.target.average_utilization for one in found.spec.metrics}
            seen = {one.resource.name: one.resource.current.average_utilization for one in found.status.current_metrics}
            return all(seen[name] <= aim for name, aim in aims.items())
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, AttributeError, KeyError, TypeError):
            return False

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            try:
                self._look()
            except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
                continue  # Not there yet, or not there any more: the course has no entry for that time.

    def _look(self) -> None:
        found = self._objects.list_namespaced_custom_object(
            "networking.istio.io", "v1", self._namespace, "virtualservices"
        )
        for item in found["items"]:
            if any(host.split(".")[0] == self._service for host in item["spec"].get("hosts", [])):
                for who, course in self.weights.items():
                    _note(course, weights_of(item, None if who == EVERYBODY else who))
        selector = f"app={self._service}"
        deployments = self._apps.list_namespaced_deployment(self._namespace, label_selector=selector).items
        pods = {d.metadata.name.removeprefix(f"{self._service}-"): d.status.ready_replicas or 0 for d in deployments}
        if pods:
            _note(self.replicas, pods)


def weights_of(virtual_service: t.Mapping[str, t.Any], user: str | None) -> dict[str, int]:
    """Return version -> weight for the requests of `user` (header end-user, exactly), None: of everybody else.

    The first route that matches wins; a match without headers says only where requests come from. A lone destination
    needs no weight. Empty if no route matches.
    """
    for route in virtual_service["spec"].get("http", []):
        users = [match.get("headers", {}).get("end-user", {}).get("exact") for match in route.get("match", [{}])]
        if None in users or user in users:
            parts = route.get("route", [])
            return {p["destination"].get("subset", "?"): p.get("weight", 100 if len(parts) == 1 else 0) for p in parts}
    return {}


def _note(course: Course, now: dict[str, int]) -> None:
    if now and (not course or course[-1][1] != now):
        course.append((time.time(), now))
