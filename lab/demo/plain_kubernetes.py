# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the stages without a mesh: a Service on plain Kubernetes that gets each request on a new connection."""

from __future__ import annotations

import dataclasses
import time
import typing as t

import kubernetes
import urllib3

from lab.traffic import Load, SidecarClient, TrafficError

from .results import EVERYBODY, ShareCheck
from .stages import OTHER_IMAGE

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.traffic import Measurement, RunningLoad

    from .playbooks import Ansible, Playbook
    from .results import StageResult
    from .stages import StageSpec
    from .terminal import Terminal

RATE = 100.0
"""Requests a second of the background load; a single failure fails the stage."""
BACKGROUND_LIMIT = 600.0
TERMINATION_TIMEOUT = 60.0
REQUESTS = {1: 800, 2: 1500}
"""How many requests a share check sends, by the number of versions that answer."""
NEW_CONNECTIONS = {"Connection": "close"}
ANSWERED_BY = r'"(reviews(?:-canary)?-[a-z0-9]+)-[a-z0-9]{5}"'
"""The ReplicaSet in a pod's name: Deployment and template hash."""


class PlainKubernetesRunner:
    """Runs the stages without a mesh and sends their requests from a pod. place: its name in reports."""

    place = "client"

    def __init__(self, ansible: Ansible, terminal: Terminal, kubeconfig: str, namespace: str) -> None:
        api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
        self._core, self._apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
        self._ansible, self._terminal, self._namespace = ansible, terminal, namespace
        self._client = SidecarClient(kubeconfig, namespace, app="client")
        self._images: list[str] = []
        self._deleted = False
        self.sent = 0

    def run(self, spec: StageSpec, stage: StageResult) -> bool:
        """Run one stage and judge it. False: a playbook failed, or nothing could be measured."""
        can_continue = False
        try:
            can_continue = self._run(spec, stage)
        except (TrafficError, kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as problem:
            stage.problems.append(str(problem))
        stage.ended = time.time()
        if can_continue:
            stage.judge()
        return can_continue

    def delete_namespace(self) -> None:
        """Delete the namespace, once, without waiting for its end."""
        if self._deleted:
            return
        self._deleted = True
        try:
            self._core.delete_namespace(self._namespace)
        except kubernetes.client.ApiException as problem:
            if problem.status != 404:
                raise

    def _run(self, spec: StageSpec, stage: StageResult) -> bool:
        first, *others = spec.playbooks
        if spec.deploys:
            if not self._run_playbook(first, stage):
                return False
        else:
            others = [first, *others]
        with self._start_background() as load:
            if not all(self._run_playbook(playbook, stage, show_all=spec.show_all) for playbook in others):
                return False
            self._wait_for_terminating_pods()
            stage.measured_from = time.time()
            names = self._version_names()
            number = REQUESTS[min(sum(percent > 0 for percent in spec.everybody.values()), 2)]
            measured = self._client.measure(Load(requests=number, headers=NEW_CONNECTIONS, version=ANSWERED_BY))
            stage.checks.append(ShareCheck(self.place, EVERYBODY, spec.everybody, _rename_versions(measured, names)))
            load.stop()
            self._add_background(load.result(), stage)
        return True

    def _wait_for_terminating_pods(self) -> None:
        """Wait until no pod is terminating: until then the old pods answer requests too."""
        until = time.monotonic() + TERMINATION_TIMEOUT
        while time.monotonic() < until:
            pods = self._core.list_namespaced_pod(self._namespace, label_selector="app=reviews").items
            if not any(pod.metadata.deletion_timestamp for pod in pods):
                return
            time.sleep(0.2)

    def _start_background(self) -> RunningLoad:
        limit = BACKGROUND_LIMIT
        load = Load(seconds=limit, limit=limit, rate=RATE, headers=NEW_CONNECTIONS, version=ANSWERED_BY)
        return self._client.background(load)

    def _add_background(self, measured: Measurement, stage: StageResult) -> None:
        self.sent += measured.requests
        stage.background_failed += measured.failed
        stage.require_whole_load(measured, self.place)
        stage.notes.append(
            f"Background load: {measured.requests:,} requests at {RATE:g}/s, each on a new connection, "
            f"{measured.failed or 'none'} failed."
        )
        stage.notes += [f"failed in the background: {reason} ({n})" for reason, n in measured.reasons.items()]

    def _run_playbook(self, playbook: Playbook, stage: StageResult, *, show_all: bool = False) -> bool:
        if playbook.variables.get("image") == OTHER_IMAGE:
            filled = dataclasses.replace(playbook, variables={**playbook.variables, "image": self._other_image()})
            stage.commands[stage.commands.index(playbook.command)] = filled.command
            playbook = filled
        self._terminal.playbook(playbook)
        result = self._ansible.run(playbook)
        self._terminal.playbook_result(result, show_all=show_all)
        if not result.ok:
            stage.problems.append(f"{playbook.name} failed")
        return result.ok

    def _other_image(self) -> str:
        deployment = self._apps.read_namespaced_deployment("reviews", self._namespace)
        current = deployment.spec.template.spec.containers[0].image
        if not self._images:
            pods = self._core.list_namespaced_pod(self._namespace, label_selector="app=reviews").items
            self._images = [str(current), str(pods[0].status.container_statuses[0].image_id)]
        return next(image for image in self._images if image != current)

    def _version_names(self) -> dict[str, str]:
        """Return ReplicaSet -> version: `stable` and `canary` where there is a canary, else `new` and `old`."""
        sets = self._apps.list_namespaced_replica_set(self._namespace, label_selector="app=reviews").items
        canaries = {one.metadata.name for one in sets if one.metadata.name.startswith("reviews-canary-")}
        has_canary = any(one.spec.replicas for one in sets if one.metadata.name in canaries)
        current = "stable" if has_canary else "new"
        names = {one.metadata.name: current if one.spec.replicas else "old" for one in sets}
        return names | dict.fromkeys(canaries, "canary")


def _rename_versions(measured: Measurement, names: Mapping[str, str]) -> Measurement:
    """Return the measurement with the names of versions in place of ReplicaSets."""
    counts: dict[str, int] = {}
    for template, number in measured.counts.items():
        version = names.get(template, template)
        counts[version] = counts.get(version, 0) + number
    return dataclasses.replace(measured, counts=counts)
