# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One named cluster of the lab: its state file, its paths, and commands to reach it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import typing as t

from . import cache, dockerd, polling, ports, programs, sources
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = "canary"
NODE_SECONDS = 90
NODE_KUBECONFIG = "/etc/kubernetes/admin.conf"  # written by kubeadm, in the node


class Lab:
    """A handle for one cluster. Its state is a JSON file, so that it survives a killed `up`.

    name: as the user gives it. source, reason: see `sources.Source`. images_mode: "pull" or "build".
    ports: {"api", "ingress", "prometheus"} -> port on 127.0.0.1; empty for an existing cluster.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", name):
            raise LabError(
                f"{name!r} is not a valid cluster name.", "Use 1 to 30 lowercase letters, digits and inner hyphens."
            )
        self.name = name
        self.folder = _state_root() / name
        self.logs = self.folder / "logs"
        self._state: dict[str, t.Any] = {}
        self.reload()

    def reload(self) -> None:
        """Read the state file again: another process may have changed it."""
        self._state = _read_state(self.folder / "state.json")

    @property
    def registered(self) -> bool:
        """Whether the cluster has a state file: from the start of `up` to the end of `down`."""
        return bool(self._state)

    @property
    def source(self) -> str:
        return str(self._state.get("source", ""))

    @property
    def reason(self) -> str:
        return str(self._state.get("reason", ""))

    @property
    def images_mode(self) -> str:
        return str(self._state.get("images_mode", "build"))

    @property
    def ports(self) -> dict[str, int]:
        return dict(self._state.get("ports", {}))

    @property
    def installed(self) -> str:
        """The fingerprint of the completed installation (see `cluster`); empty before it is complete."""
        return str(self._state.get("installed", ""))

    @property
    def bare(self) -> bool:
        """Whether the user wanted Kubernetes without a mesh."""
        return bool(self._state.get("bare", False))

    @property
    def made_network(self) -> bool:
        """Whether kind created its Docker network for this cluster."""
        return bool(self._state.get("made_network", False))

    def update_state(self, **values: t.Any) -> None:
        """Set values in the state and write the file atomically."""
        self._state.update(values)
        self.logs.mkdir(parents=True, exist_ok=True)
        new = self.folder / "state.json.new"
        new.write_text(json.dumps(self._state, indent=2, sort_keys=True))
        new.rename(self.folder / "state.json")

    def delete_state(self) -> None:
        """Delete the state file, the kubeconfigs and the logs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._state = {}

    def claim_ports(self) -> None:
        """Reserve loopback ports, unless this cluster already has some."""
        if self.ports:
            return
        with cache.locked(cache.root() / "state" / "ports.lock"):
            others = (cache.root() / "state").glob("*/*/state.json")
            taken = {port for path in others for port in _read_state(path).get("ports", {}).values()}
            self.update_state(ports=ports.choose(taken, ports.is_free))

    @property
    def kind_name(self) -> str:
        """The name of the kind cluster; the prefix avoids a conflict with other kind clusters of the user."""
        return f"canary-lab-{self.name}"

    @property
    def node(self) -> str:
        return f"{self.kind_name}-control-plane"

    @property
    def docker(self) -> list[str]:
        """The Docker command for the daemon of this cluster."""
        return dockerd.command() if self.source == sources.PRIVATE else ["docker"]

    @property
    def docker_environment(self) -> dict[str, str]:
        """Variables for programs that run docker themselves."""
        return {"DOCKER_HOST": dockerd.address(), "DOCKER_CONTEXT": ""} if self.source == sources.PRIVATE else {}

    @property
    def kubeconfig(self) -> pathlib.Path:
        """The kubeconfig that works on this machine."""
        return self.folder / "kubeconfig"

    @property
    def kubeconfig_internal(self) -> pathlib.Path:
        """The kubeconfig that works in the cluster's network."""
        return self.folder / "kubeconfig-internal"

    @property
    def ingress_url(self) -> str:
        return self._url("ingress")

    @property
    def prometheus_url(self) -> str:
        return self._url("prometheus")

    def _url(self, name: str) -> str:
        if self.source == sources.EXISTING:
            return os.environ.get(f"CANARY_LAB_{name.upper()}_URL", "")
        return f"http://127.0.0.1:{self.ports[name]}" if name in self.ports else ""

    @property
    def kubectl_program(self) -> str:
        """The kubectl of the lab; if images are pulled, a kubectl on the PATH saves a build of minutes."""
        found = shutil.which("kubectl")
        return found if found and self.images_mode == "pull" else str(programs.program("kubectl"))

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002
        """Run kubectl on this cluster and return its stdout. Raises LabError with the error of kubectl."""
        argv = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            completed = subprocess.run(
                argv, input=input or "", capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"kubectl {' '.join(arguments)} was still running after {timeout:g} s") from None
        if completed.returncode != 0:
            raise LabError(
                f"kubectl {' '.join(arguments)} failed: {completed.stderr.strip() or completed.stdout.strip()}"
            )
        return completed.stdout

    def api_is_ready(self) -> bool:
        """Return whether the API server answers that it is ready."""
        if not self.kubeconfig.exists():
            return False
        try:
            return self.kubectl("get", "--raw=/readyz", "--request-timeout=5s", timeout=10).strip() == "ok"
        except LabError:
            return False

    def network_prefix(self) -> list[str]:
        """Return what to put before a command to run it in the cluster's network, with access to pods and Services.

        If the network namespace of the node cannot be entered from here, the command runs in the node.
        """
        if self.source == sources.EXISTING:
            return []
        pid = self.inspect("{{.State.Pid}}")
        if pathlib.Path(f"/proc/{pid}/ns/net").exists() and os.geteuid() == 0:
            return ["nsenter", f"--net=/proc/{pid}/ns/net"]
        return [*self.docker, "exec", "--interactive", "--env", f"KUBECONFIG={NODE_KUBECONFIG}", self.node]

    def inspect(self, template: str) -> str:
        """Return one property of the node's container; template: as for docker inspect."""
        argv = [*self.docker, "inspect", "--format", template, self.node]
        completed = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if completed.returncode != 0:
            message = f"The node {self.node} does not exist: {completed.stderr.strip()}"
            raise LabError(message, f"Run: lab/cluster up {self.name}")
        return completed.stdout.strip()

    def load_image_archive(self, path: pathlib.Path) -> None:
        """Load the images of a docker-archive into the node, once; wait for containerd if the node is starting."""
        identity = f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}"
        loaded = self.folder / "loaded-images"
        if loaded.exists() and identity in loaded.read_text().splitlines():
            return
        self._wait_for_containerd()
        argv = [*self.docker, "exec", "--interactive", self.node, "ctr", "--namespace=k8s.io", "images", "import", "-"]
        with path.open("rb") as archive:
            completed = subprocess.run(argv, stdin=archive, capture_output=True, text=True, check=False)
        if completed.returncode != 0:
            raise LabError(f"Loading the images of {path} into {self.node} failed: {completed.stderr.strip()}")
        with loaded.open("a") as record:
            record.write(identity + "\n")

    def _wait_for_containerd(self) -> None:
        argv = [*self.docker, "exec", self.node, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet"]

        def responds() -> bool:
            return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

        if not polling.wait_until(responds, NODE_SECONDS, interval=0.3):
            raise LabError(f"containerd in the node {self.node} did not answer within {NODE_SECONDS} s")


def registered() -> Iterator[Lab]:
    """Yield every cluster that has a state file."""
    for state in sorted(_state_root().glob("*/state.json")):
        yield Lab(state.parent.name)


def _state_root() -> pathlib.Path:
    return cache.root() / "state" / dockerd.instance()


def _read_state(path: pathlib.Path) -> dict[str, t.Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise LabError(f"{path} is not valid JSON.", "Delete the file and run lab/cluster down.") from None
    return dict(found)
