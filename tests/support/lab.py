# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as the tests see it: one command, `lab/cluster`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import time
import typing as t

from .collection import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = ROOT / "lab" / "cluster"
_API_SERVER_POD = "/etc/kubernetes/manifests/kube-apiserver.yaml"


@dataclasses.dataclass(frozen=True)
class Lab:
    """A running cluster. facts: what `lab/cluster status --json` says."""

    kubeconfig: str
    facts: dict[str, t.Any]

    @classmethod
    def running(cls, name: str = "canary") -> Lab:
        """Return the lab that is up. Raises AssertionError with the way out when there is none."""
        facts = status(name)
        assert facts.get("ready"), "These tests need the lab. Start it with `make lab-up`, then run them again."
        return cls(kubeconfig=str(facts["kubeconfig"]), facts=facts)

    def audited(self, namespace: str) -> list[dict[str, t.Any]]:
        """Return the API server's audit events of one namespace, oldest first."""
        assert self.facts["audit_log"], "The audit log of a cluster that is not the lab's is not for tests to read."
        command = [*self.facts["node_command"], "grep", "-F", f'"namespace":"{namespace}"', self.facts["audit_log"][-1]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 1), done.stderr  # 1: no such line
        return [json.loads(line) for line in done.stdout.splitlines()]

    def restart_api_server(self) -> None:
        """End the API server without warning, and return when kubelet has started it again."""
        self._in_node("pkill", "-KILL", "kube-apiserver")
        self._wait_for_api_server()

    @contextlib.contextmanager
    def without_api_server(self) -> Iterator[None]:
        """End the API server without warning, start it again afterwards, and return when it is ready."""
        aside = "/etc/kubernetes/kube-apiserver.yaml"
        self._in_node("mv", _API_SERVER_POD, aside)
        try:
            self._in_node("pkill", "-KILL", "kube-apiserver")
            yield
        finally:
            self._in_node("mv", aside, _API_SERVER_POD)
            self._wait_for_api_server()

    def _in_node(self, *command: str) -> None:
        assert self.facts["node_command"], "The API server of a cluster that is not the lab's is not for tests to end."
        subprocess.run([*self.facts["node_command"], *command], check=True, timeout=30)

    def _wait_for_api_server(self) -> None:
        deadline = time.monotonic() + 90
        while not status(self.facts["name"]).get("ready"):
            assert time.monotonic() < deadline, "The API server did not come back."
            time.sleep(0.5)

    def execute(self, *command: str, seconds: float = 120) -> str:
        """Run a command inside the cluster's network and return what it printed."""
        done = subprocess.run(
            [COMMAND, "exec", self.facts["name"], "--", *command],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
        return done.stdout


@contextlib.contextmanager
def beside(shared: Lab, name: str) -> Iterator[Lab]:
    """Bring up a cluster with a mesh beside the shared one, and take it down afterwards."""
    assert shared.facts["node_command"], "A cluster that is not the lab's has no second one beside it: `make lab-up`."
    try:
        done = subprocess.run([COMMAND, "up", name], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        yield Lab.running(name)
    finally:
        subprocess.run([COMMAND, "down", name], capture_output=True, check=True, timeout=120)


def status(name: str = "canary") -> dict[str, t.Any]:
    """Return what the lab says of the cluster, `{}` when there is none."""
    done = subprocess.run(
        [COMMAND, "status", "--json", name], capture_output=True, text=True, check=False, env=os.environ
    )
    try:
        facts = json.loads(done.stdout or "{}")
    except ValueError as error:
        raise AssertionError(f"{COMMAND} status --json printed no JSON:\n{done.stdout}{done.stderr}") from error
    assert isinstance(facts, dict)
    return facts
