# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebook that rolls a canary back when an alert fires, run by ansible-rulebook; the test is Alertmanager."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import urllib3
from support.collection import tree

from lab.kindlab import host

from .test_playbooks import Verbs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.direct import Direct
    from support.lab import Lab
    from support.play import Player
    from support.simulated_service import SimulatedService

TOKEN = "said-by-Alertmanager-alone"
RULEBOOK = "meshops.canary.rollback_on_alert"


class Rulebook:
    """A running ansible-rulebook. log: what it and its playbooks say."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self._url, self.log, self._process = f"http://127.0.0.1:{port}/alerts", log, process

    def post(self, *alerts: dict[str, t.Any], token: str = TOKEN) -> int:
        """Send alerts in one message, as Alertmanager does; return the HTTP status."""
        body = json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return urllib3.request("POST", self._url, body=body, headers=headers, timeout=10, retries=False).status

    def wait_for(self, said: str, seconds: float = 60) -> None:
        """Return when the log has the text; fail with the log otherwise."""
        deadline = time.monotonic() + seconds
        while said not in self.log.read_text(errors="replace"):
            waiting = self._process.poll() is None and time.monotonic() < deadline
            assert waiting, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)


@pytest.fixture
def verbs(simulated: SimulatedService, direct: Direct, play: Player) -> Verbs:
    return Verbs(simulated, direct, play)


@pytest.fixture
def rulebook(lab: Lab, tmp_path: Path) -> Iterator[Rulebook]:
    host.require({"default-jre-headless": "java"}, "the test of the rulebook")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "inventory.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    options = {"canary_webhook_port": port, "canary_webhook_token": TOKEN, "canary_capacity_timeout": 2}
    (tmp_path / "vars.yml").write_text(json.dumps(options))
    programs = Path(sys.prefix) / "bin"
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(tree()),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "K8S_AUTH_KUBECONFIG": str(lab.kubeconfig),
    }
    command = [str(programs / "ansible-rulebook"), "-r", RULEBOOK, "-i", "inventory.yml", "-e", "vars.yml", "-v"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        running = Rulebook(port, log, process)
        running.wait_for("Waiting for events", 120)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def alert(namespace: str, version: str, status: str = "firing", **labels: str) -> dict[str, t.Any]:
    about = {"destination_service_name": "reviews", "destination_service_namespace": namespace}
    named = {"alertname": "CanaryFails", "canary": "rollback", **about, "destination_version": version, **labels}
    return {"status": status, "labels": named}


def test_only_an_alert_about_the_canary_rolls_it_back(verbs: Verbs, direct: Direct, rulebook: Rulebook) -> None:
    verbs.record("v1", "v2")
    canary, namespace = alert(verbs.namespace, "v2"), verbs.namespace
    assert rulebook.post(canary, token="a-guess") == 401
    others = [alert(namespace, "v2", "resolved"), alert(namespace, "v2", canary="page"), alert(namespace, "v1")]
    assert rulebook.post({"status": "firing", "labels": {}}, *others) == 200
    rulebook.wait_for("No rollout of v1 is under way, so nothing was changed.")
    assert verbs.weights == {"v1": 50, "v2": 50}
    assert rulebook.post(canary) == 200
    rulebook.wait_for("The stable version of the last rollout is v1.")
    assert verbs.weights == {"v1": 100}
    found = direct("rollout")
    assert (found["run"]["phase"], found["run"]["holder"]) == ("rolled_back", "")
    assert rulebook.log.read_text().count("PLAY [Roll back to the stable version]") == 2
