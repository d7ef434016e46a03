# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two places where Bookinfo's traffic starts, and how the measuring client gets there."""

from __future__ import annotations

import abc
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import typing as t

import kubernetes
import kubernetes.stream
import urllib3
import websocket

from .measurement import Measurement

if t.TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT = (pathlib.Path(__file__).parent / "client.py").read_text(encoding="utf-8")
# The client travels through stdin: first its length, then its text, then its configuration (see client.py).
BOOT = "import sys; n = int(sys.stdin.buffer.readline()); exec(compile(sys.stdin.buffer.read(n), 'traffic', 'exec'))"
SIDECAR_CONTAINERS = ("istio-proxy", "istio-init")
# Time for the client to print its result once it may not send any more.
PATIENCE = 15.0


class TrafficError(Exception):
    """The load could not be started, or ended without a result."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What to send: a number of requests, or a time, or both (whichever ends first).

    rate: requests a second over all connections; None: as fast as they go.
    user: signed-in user. The gateway logs in as a browser does; the sidecar sends the header `end-user`, as
    productpage does for a signed-in user.
    version: regular expression whose first group, found in an answer, says who gave it; empty: reviews by version.
    path: None is the place's own.  timeout: seconds for one answer.  limit: seconds after which the load ends anyway.
    """

    requests: int | None = None
    seconds: float | None = None
    rate: float | None = None
    connections: int = 4
    user: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str | None = None
    timeout: float = 15.0
    limit: float = 120.0
    version: str = ""

    def __post_init__(self) -> None:
        if self.requests is None and self.seconds is None:
            raise TrafficError("a load needs an end: requests or seconds")


class Running:
    """A load under way. Leaving the `with` block stops it; `result` waits for its end."""

    def __init__(self, process: _Process, load: Load) -> None:
        self._process = process
        self._patience = min(load.limit, load.seconds or load.limit) + load.timeout + PATIENCE
        self._result: Measurement | None = None

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask the load to end now; requests under way are finished and counted."""
        if self._result is None:
            self._process.say(b"stop\n")

    def result(self) -> Measurement:
        if self._result is None:
            self._result = Measurement(**self._process.answer(self._patience))
        return self._result


class Place(abc.ABC):
    """Somewhere requests start. `name` is what reports call it."""

    name: str

    def background(self, load: Load) -> Running:
        """Start `load` and return at once."""
        process = self._start()
        config = json.dumps(self._config(load)).encode()
        program = CLIENT.encode()
        process.say(b"%d\n%s%s\n" % (len(program), program, config))
        return Running(process, load)

    def measure(self, load: Load) -> Measurement:
        """Send `load` and wait for its result."""
        return self.background(load).result()

    @abc.abstractmethod
    def _start(self) -> _Process:
        """Start Python with BOOT at this place."""

    @abc.abstractmethod
    def _config(self, load: Load) -> dict[str, t.Any]:
        """Return the client's configuration."""


class Gateway(Place):
    """A browser's place: requests from this machine through the ingress gateway to productpage.

    host: what the browser's address line would say, where several Gateways share one ingress gateway.
    """

    name = "gateway"

    def __init__(self, url: str, path: str = "/productpage", host: str = "") -> None:
        self._url, self._path, self._host = url.rstrip("/"), path, host

    def _start(self) -> _Process:
        return _LocalProcess([sys.executable, "-c", BOOT])

    def _config(self, load: Load) -> dict[str, t.Any]:
        headers = {**load.headers, **({"Host": self._host} if self._host else {})}
        return _common(load, self._url + (load.path or self._path)) | {"login": load.user, "headers": headers}


class Sidecar(Place):
    """A service's place: requests from the productpage pod, through its sidecar, to reviews."""

    name = "sidecar"

    def __init__(
        self, kubeconfig: str, namespace: str, url: str = "http://reviews:9080", app: str = "productpage"
    ) -> None:
        self._kubeconfig, self._namespace, self._url, self._app = kubeconfig, namespace, url, app

    def _start(self) -> _Process:
        # A client of its own: opening a stream rewires the API client it is given, for every thread that uses it.
        core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(config_file=self._kubeconfig))
        try:
            pod, container = self._find_pod(core)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as problem:
            raise TrafficError(f"could not look for a pod in namespace {self._namespace}: {problem}") from problem
        return _PodProcess(core, self._namespace, pod, container, ["python3", "-c", BOOT])

    def _find_pod(self, core: kubernetes.client.CoreV1Api) -> tuple[str, str]:
        pods = core.list_namespaced_pod(self._namespace, label_selector=f"app={self._app}").items
        for pod in pods:
            ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
            if ready and pod.metadata.deletion_timestamp is None:
                names = [container.name for container in pod.spec.containers]
                return pod.metadata.name, next(name for name in names if name not in SIDECAR_CONTAINERS)
        raise TrafficError(f"no ready pod with label app={self._app} in namespace {self._namespace}, of {len(pods)}")

    def _config(self, load: Load) -> dict[str, t.Any]:
        headers = {**load.headers, **({"end-user": load.user} if load.user else {})}
        return _common(load, self._url + (load.path or "/reviews/0")) | {"headers": headers}


def _common(load: Load, url: str) -> dict[str, t.Any]:
    names = ("requests", "seconds", "rate", "connections", "timeout", "limit")
    pattern = {"version": load.version} if load.version else {}
    return {"url": url} | {name: getattr(load, name) for name in names} | pattern


class _Process(t.Protocol):
    def say(self, text: bytes) -> None: ...

    def answer(self, patience: float) -> dict[str, t.Any]: ...


class _LocalProcess:
    def __init__(self, command: list[str]) -> None:
        # Files, not pipes: nobody reads before the end, and a full pipe would block the client.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed in `answer`
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._out, stderr=self._err)

    def say(self, text: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            return
        try:
            stdin.write(text)
            stdin.flush()
        except BrokenPipeError:
            pass  # It has just ended; `answer` says why.

    def answer(self, patience: float) -> dict[str, t.Any]:
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TrafficError(f"the load on this machine did not end within {patience:.0f} s") from None
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return _parse(texts[0], texts[1], "this machine")


class _PodProcess:
    def __init__(
        self, core: kubernetes.client.CoreV1Api, namespace: str, pod: str, container: str, command: list[str]
    ) -> None:
        self._name = f"pod {namespace}/{pod}"
        streams = {"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False}
        try:
            self._stream = kubernetes.stream.stream(
                core.connect_get_namespaced_pod_exec, pod, namespace, container=container, command=command, **streams
            )
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as problem:
            raise TrafficError(f"{self._name}: could not run the measuring client: {problem}") from problem

    def say(self, text: bytes) -> None:
        if self._stream.is_open():
            self._stream.write_stdin(text.decode())

    def answer(self, patience: float) -> dict[str, t.Any]:
        try:
            self._stream.run_forever(timeout=patience)
        except (OSError, websocket.WebSocketException) as problem:
            raise TrafficError(f"{self._name}: lost the connection to the load: {problem}") from problem
        if self._stream.is_open():
            self._stream.close()  # The end of its stdin stops the client in the pod.
            raise TrafficError(f"{self._name}: the load did not end within {patience:.0f} s")
        out, err = self._stream.read_stdout(), self._stream.read_stderr()
        if not out and not err:
            err = f"ended with status {self._stream.returncode}, perhaps because its container was stopped"
        return _parse(out.encode(), err.encode(), self._name)


def _parse(out: bytes, err: bytes, where: str) -> dict[str, t.Any]:
    try:
        return dict(json.loads(out))
    except ValueError:
        said = err.decode(errors="replace").strip().splitlines()
        raise TrafficError(f"the load at {where} ended without a result: {said[-1] if said else repr(out)}") from None
