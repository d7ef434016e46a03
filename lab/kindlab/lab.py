# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One named cluster of the lab: where it is, how to talk to it, what is known about it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import typing as t

from . import cache, dockerd, ports, programs, sources
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = "canary"
NODE_SECONDS = 90
NODE_KUBECONFIG = "/etc/kubernetes/admin.conf"  # kubeadm's, in the node itself


class Lab:
    """A cluster's handle. Its state is one JSON file, so that it survives a killed `up`.

    name: the user's. source, reason: see `sources.Source`. images_mode: "pull" or "build".
    ports: {"api", "ingress", "prometheus"} -> port on 127.0.0.1; empty for an existing cluster.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", name):
            raise LabError(f"{name!r} cannot name a cluster.", "Use up to 30 small letters, digits and inner hyphens.")
        self.name = name
        self.folder = _states() / name
        self.logs = self.folder / "logs"
        self._state: dict[str, t.Any] = {}
        self.reload()

    def reload(self) -> None:
        """Read the state again: another process may have changed it."""
        self._state = _read(self.folder / "state.json")

    @property
    def known(self) -> bool:
        """Whether an `up` has begun and no `down` has ended."""
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
        """The fingerprint of what was installed completely; empty while that is not so."""
        return str(self._state.get("installed", ""))

    @property
    def bare(self) -> bool:
        """Whether Kubernetes without a mesh is all that was asked for."""
        return bool(self._state.get("bare", False))

    @property
    def made_network(self) -> bool:
        """Whether the user's Docker had no network named kind before this cluster."""
        return bool(self._state.get("made_network", False))

    def remember(self, **facts: t.Any) -> None:
        """Add to the state; the file is replaced at once, never half written."""
        self._state.update(facts)
        self.logs.mkdir(parents=True, exist_ok=True)
        new = self.folder / "state.json.new"
        new.write_text(json.dumps(self._state, indent=2, sort_keys=True))
        new.rename(self.folder / "state.json")

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._state = {}

    def claim_ports(self) -> None:
        """Reserve loopback ports, unless some are reserved already."""
        if self.ports:
            return
        with cache.locked(cache.root() / "state" / "ports.lock"):
            others = (cache.root() / "state").glob("*/*/state.json")
            taken = {port for path in others for port in _read(path).get("ports", {}).values()}
            self.remember(ports=ports.choose(taken, ports.is_free))

    @property
    def kind_name(self) -> str:
        """kind's name for it; not the user's own, lest it meets a cluster that is not ours."""
        return f"canary-lab-{self.name}"

    @property
    def node(self) -> str:
        return f"{self.kind_name}-control-plane"

    @property
    def docker(self) -> list[str]:
        """What to put before a Docker command's arguments to reach this cluster's daemon."""
        return dockerd.command() if self.source == sources.PRIVATE else ["docker"]

    @property
    def docker_environment(self) -> dict[str, str]:
        """The same for programs that run docker themselves."""
        return {"DOCKER_HOST": dockerd.address(), "DOCKER_CONTEXT": ""} if self.source == sources.PRIVATE else {}

    @property
    def kubeconfig(self) -> pathlib.Path:
        """A kubeconfig that works on this machine."""
        return self.folder / "kubeconfig"

    @property
    def kubeconfig_internal(self) -> pathlib.Path:
        """A kubeconfig that works inside the cluster's network."""
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
        """Our own kubectl; where nothing else is built, the machine's saves a build of minutes."""
        here = shutil.which("kubectl")
        return here if here and self.images_mode == "pull" else str(programs.program("kubectl"))

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002
        """Run kubectl on this cluster and return what it prints. Raises LabError with kubectl's own words."""
        argv = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            done = subprocess.run(
                argv,
                input=input or "",
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"kubectl {' '.join(arguments)} did not end within {timeout:g} s") from None
        if done.returncode != 0:
            raise LabError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def answers(self) -> bool:
        """Whether the API server says that it is ready."""
        if not self.kubeconfig.exists():
            return False
        try:
            return self.kubectl("get", "--raw=/readyz", "--request-timeout=5s", timeout=10).strip() == "ok"
        except LabError:
            return False

    def inside(self) -> list[str]:
        """What to put before a command to run it in the cluster's network: pods, Services and node are near.

        Where the node's namespace cannot be entered from here, the command runs in the node itself, with its kubectl.
        """
        if self.source == sources.EXISTING:
            return []
        pid = self.inspect("{{.State.Pid}}")
        if pathlib.Path(f"/proc/{pid}/ns/net").exists() and os.geteuid() == 0:
            return ["nsenter", f"--net=/proc/{pid}/ns/net"]
        return [*self.docker, "exec", "--interactive", "--env", f"KUBECONFIG={NODE_KUBECONFIG}", self.node]

    def inspect(self, template: str) -> str:
        """One fact about the node's container, by a template of docker inspect."""
        argv = [*self.docker, "inspect", "--format", template, self.node]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message = f"The node {self.node} is not there: {done.stderr.strip()}"
            raise LabError(message, f"Run: lab/cluster up {self.name}")
        return done.stdout.strip()

    def load_image_archive(self, path: pathlib.Path) -> None:
        """Bring the images of a docker-archive into the node, once; waits for a node that is just starting."""
        mark = f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}"
        loaded = self.folder / "loaded-images"
        if loaded.exists() and mark in loaded.read_text().splitlines():
            return
        self._wait_for_containerd()
        argv = [*self.docker, "exec", "--interactive", self.node, "ctr", "--namespace=k8s.io", "images", "import", "-"]
        with path.open("rb") as archive:
            done = subprocess.run(argv, stdin=archive, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"The images of {path} could not be brought into {self.node}: {done.stderr.strip()}")
        with loaded.open("a") as record:
            record.write(mark + "\n")

    def _wait_for_containerd(self) -> None:
        argv = [*self.docker, "exec", self.node, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet"]
        until = time.monotonic() + NODE_SECONDS
        while subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
            if time.monotonic() > until:
                raise LabError(f"The node {self.node} was not there within {NODE_SECONDS} s")
            time.sleep(0.3)


def known() -> Iterator[Lab]:
    """Every cluster that an `up` has begun and no `down` has ended."""
    for state in sorted(_states().glob("*/state.json")):
        yield Lab(state.parent.name)


def _states() -> pathlib.Path:
    return cache.root() / "state" / dockerd.instance()


def _read(path: pathlib.Path) -> dict[str, t.Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise LabError(f"{path} is not readable as JSON.", "Remove it and run lab/cluster down.") from None
    return dict(found)
