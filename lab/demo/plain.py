# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story before the mesh: a Service on plain Kubernetes, called on a new connection for every request."""

from __future__ import annotations

import dataclasses
import time
import typing as t

import kubernetes
import urllib3

from lab.traffic import Load, Sidecar, TrafficError

from .result import EVERYBODY, Reading, Stage

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.traffic import Measurement, Running

    from .player import Ansible, Play
    from .stages import Step
    from .terminal import Terminal

RATE = 100.0
"""Requests a second while pods come and go; one that is lost fails the stage."""
LIMIT = 600.0
PATIENCE = 30.0
REQUESTS = {1: 800, 2: 1500}
"""How many to measure by, for so many answerers."""
NEW_CONNECTIONS = {"Connection": "close"}
ANSWERED_BY = r'"(reviews(?:-canary)?-[a-z0-9]+)-[a-z0-9]{5}"'
"""The ReplicaSet in a pod's name: Deployment and template."""
OTHER_IMAGE = "{other image}"
"""Stands in a play's variables for the image by its digest, or by its tag again: two names for what every node has."""


class Plain:
    """Runs the plain stages and measures them from a pod of the namespace. place: what reports call it."""

    place = "client"

    def __init__(self, ansible: Ansible, terminal: Terminal, kubeconfig: str, namespace: str) -> None:
        api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
        self._core, self._apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
        self._ansible, self._terminal, self._namespace = ansible, terminal, namespace
        self._client = Sidecar(kubeconfig, namespace, app="client")
        self._images: list[str] = []
        self._over = False
        self.sent = 0

    def run(self, step: Step, stage: Stage) -> bool:
        """Run one stage and judge it. False: a playbook failed, or nothing could be measured."""
        going_on = False
        try:
            going_on = self._stage(step, stage)
        except (TrafficError, kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as problem:
            stage.troubles.append(str(problem))
        stage.ended = time.time()
        if going_on:
            stage.judge()
        return going_on

    def end(self) -> None:
        """Let the namespace go, once, and wait for nothing."""
        if self._over:
            return
        self._over = True
        try:
            self._core.delete_namespace(self._namespace)
        except kubernetes.client.ApiException as problem:
            if problem.status != 404:
                raise

    def _stage(self, step: Step, stage: Stage) -> bool:
        first, *others = step.plays
        if step.deploys:
            if not self._play(first, stage):
                return False
        else:
            others = [first, *others]
        with self._load() as load:
            if not all(self._play(play, stage, whole=step.show_all) for play in others):
                return False
            self._let_old_pods_end()
            stage.changed_at = time.time()
            names = self._templates()
            wanted = {who: percent for who, percent in step.everybody.items() if percent}
            number = REQUESTS[min(len(wanted), 2)]
            seen = self._client.measure(Load(requests=number, headers=NEW_CONNECTIONS, version=ANSWERED_BY))
            stage.readings.append(Reading(self.place, EVERYBODY, step.everybody, _named(seen, names)))
            load.stop()
            self._count(load.result(), stage)
        return True

    def _let_old_pods_end(self) -> None:
        """Wait for the pods that were told to end: they answer until they do, so that no request is lost."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            pods = self._core.list_namespaced_pod(self._namespace, label_selector="app=reviews").items
            if not any(pod.metadata.deletion_timestamp for pod in pods):
                return
            time.sleep(0.5)

    def _load(self) -> Running:
        load = Load(seconds=LIMIT, limit=LIMIT, rate=RATE, headers=NEW_CONNECTIONS, version=ANSWERED_BY)
        return self._client.background(load)

    def _count(self, seen: Measurement, stage: Stage) -> None:
        self.sent += seen.requests
        stage.lost += seen.failed
        stage.troubles += early_end(seen, self.place)
        stage.notes.append(
            f"{seen.requests:,} requests at {RATE:g} a second went on meanwhile, each on a connection of its own: "
            f"{seen.failed or 'none'} failed."
        )
        stage.notes += [f"lost: {reason} ({number})" for reason, number in seen.reasons.items()]

    def _play(self, play: Play, stage: Stage, *, whole: bool = False) -> bool:
        if play.variables.get("image") == OTHER_IMAGE:
            shown = dataclasses.replace(play, variables={**play.variables, "image": self._other_image()})
            stage.commands[stage.commands.index(play.command)] = shown.command
            play = shown
        self._terminal.play(play)
        played = self._ansible.run(play)
        self._terminal.played(played, whole=whole)
        if not played.ok:
            stage.troubles.append(f"{play.playbook} failed")
        return bool(played.ok)

    def _other_image(self) -> str:
        now = self._apps.read_namespaced_deployment("reviews", self._namespace).spec.template.spec.containers[0].image
        if not self._images:
            pods = self._core.list_namespaced_pod(self._namespace, label_selector="app=reviews").items
            self._images = [str(now), str(pods[0].status.container_statuses[0].image_id)]
        return next(image for image in self._images if image != now)

    def _templates(self) -> dict[str, str]:
        """Return ReplicaSet -> its name in the story: `new` or `old`, and beside a `canary` `stable`."""
        sets = self._apps.list_namespaced_replica_set(self._namespace, label_selector="app=reviews").items
        beside = any(one.metadata.name.startswith("reviews-canary-") and one.spec.replicas for one in sets)
        names = {}
        for one in sets:
            is_canary = one.metadata.name.startswith("reviews-canary-")
            living = bool(one.spec.replicas)
            of_stable = ("stable" if beside else "new") if living else "old"
            names[one.metadata.name] = "canary" if is_canary else of_stable
        return names


def early_end(seen: Measurement, place: str) -> list[str]:
    """Return the trouble with a load that was not there to the end: what it did not send cannot have been lost."""
    return [] if seen.ended_by == "stop" else [f"the load from the {place} ended early, by its {seen.ended_by}"]


def _named(seen: Measurement, names: Mapping[str, str]) -> Measurement:
    """Return the measurement with ReplicaSets called as in the story."""
    counts: dict[str, int] = {}
    for template, number in seen.counts.items():
        who = names.get(template, template)
        counts[who] = counts.get(who, 0) + number
    return dataclasses.replace(seen, counts=counts)
