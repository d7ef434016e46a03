# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two clients of Bookinfo, a browser and the productpage pod, and how each runs the load generator."""

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

GENERATOR = (pathlib.Path(__file__).parent / "generator.py").read_bytes()
# Python reads the load generator from stdin: its length, its source, its configuration (see generator.py).
BOOTSTRAP = (
    "import sys; n = int(sys.stdin.buffer.readline()); exec(compile(sys.stdin.buffer.read(n), 'traffic', 'exec'))"
)
SIDECAR_CONTAINERS = ("istio-proxy", "istio-init")
# Time for the generator to print its result after its last request.
RESULT_SECONDS = 15.0


class TrafficError(Exception):
    """The load could not be started, or ended without a result."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What to send: a number of requests, or a duration, or both (the first limit reached ends the load).

    rate: requests per second over all connections; None: as fast as possible.
    user: signed-in user. The gateway client signs in like a browser; the sidecar client sends the header `end-user`,
    as productpage does for a signed-in user.
    version: regular expression; its first group is the version in the answer; empty: the version of reviews.
    path: None is the default of the client. timeout: seconds for one answer. limit: seconds after which the load ends.
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
            raise TrafficError("a load needs a limit: requests or seconds")


class RunningLoad:
    """A load in progress. Leaving the `with` block stops it; `result` waits for its end."""

    def __init__(self, process: _Process, load: Load) -> None:
        self._process = process
        self._seconds = min(load.limit, load.seconds or load.limit) + load.timeout + RESULT_SECONDS
        self._result: Measurement | None = None

    def __enter__(self) -> RunningLoad:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the load; requests in flight are finished and counted."""
        if self._result is None:
            self._process.send(b"stop\n")

    def result(self) -> Measurement:
        """Wait for the end of the load. Raises TrafficError if it has no result."""
        if self._result is None:
            self._result = Measurement(**self._process.result(self._seconds))
        return self._result


class Client(abc.ABC):
    """Sends requests from one place. name: for reports."""

    name: str

    def background(self, load: Load) -> RunningLoad:
        """Start `load` and return at once."""
        process = self._start()
        config = json.dumps(self._config(load)).encode()
        process.send(b"%d\n%s%s\n" % (len(GENERATOR), GENERATOR, config))
        return RunningLoad(process, load)

    def measure(self, load: Load) -> Measurement:
        """Send `load` and wait for its result."""
        return self.background(load).result()

    @abc.abstractmethod
    def _start(self) -> _Process:
        """Start Python with BOOTSTRAP."""

    @abc.abstractmethod
    def _config(self, load: Load) -> dict[str, t.Any]:
        """Return the configuration of the load generator."""


class GatewayClient(Client):
    """A browser: requests from this machine through the ingress gateway to productpage.

    host: the Host header, if several Gateways share one ingress gateway.
    """

    name = "gateway"

    def __init__(self, url: str, path: str = "/productpage", host: str = "") -> None:
        self._url, self._path, self._host = url.rstrip("/"), path, host

    def _start(self) -> _Process:
        return _LocalProcess([sys.executable, "-c", BOOTSTRAP])

    def _config(self, load: Load) -> dict[str, t.Any]:
        headers = {**load.headers, **({"Host": self._host} if self._host else {})}
        return _common(load, self._url + (load.path or self._path)) | {"login": load.user, "headers": headers}


class SidecarClient(Client):
    """A service: requests from the productpage pod through its sidecar to reviews."""

    name = "sidecar"

    def __init__(
        self, kubeconfig: str, namespace: str, url: str = "http://reviews:9080", app: str = "productpage"
    ) -> None:
        self._kubeconfig, self._namespace, self._url, self._app = kubeconfig, namespace, url, app

    def _start(self) -> _Process:
        # A separate API client: opening a stream changes the API client for every thread that uses it.
        core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(config_file=self._kubeconfig))
        try:
            pod, container = self._find_pod(core)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise TrafficError(f"listing the pods in namespace {self._namespace} failed: {error}") from error
        return _PodProcess(core, self._namespace, pod, container, ["python3", "-c", BOOTSTRAP])

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
    def send(self, data: bytes) -> None: ...

    def result(self, timeout: float) -> dict[str, t.Any]: ...


class _LocalProcess:
    def __init__(self, command: list[str]) -> None:
        # Files instead of pipes: the output is read only at the end, and a full pipe would block the generator.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed in `result`
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._out, stderr=self._err)

    def send(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            return
        try:
            stdin.write(data)
            stdin.flush()
        except BrokenPipeError:
            pass  # It has just ended; `result` reports why.

    def result(self, timeout: float) -> dict[str, t.Any]:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TrafficError(f"the load on this machine did not end within {timeout:.0f} s") from None
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
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise TrafficError(f"{self._name}: starting the load generator failed: {error}") from error

    def send(self, data: bytes) -> None:
        if self._stream.is_open():
            self._stream.write_stdin(data.decode())

    def result(self, timeout: float) -> dict[str, t.Any]:
        try:
            self._stream.run_forever(timeout=timeout)
        except (OSError, websocket.WebSocketException) as error:
            raise TrafficError(f"{self._name}: lost the connection to the load generator: {error}") from error
        if self._stream.is_open():
            self._stream.close()  # The end of its stdin stops the generator in the pod.
            raise TrafficError(f"{self._name}: the load did not end within {timeout:.0f} s")
        out, err = self._stream.read_stdout(), self._stream.read_stderr()
        if not out and not err:
            err = f"ended with status {self._stream.returncode}, perhaps because its container was stopped"
        return _parse(out.encode(), err.encode(), self._name)


def _parse(out: bytes, err: bytes, location: str) -> dict[str, t.Any]:
    try:
        return dict(json.loads(out))
    except ValueError:
        lines = err.decode(errors="replace").strip().splitlines()
        raise TrafficError(
            f"the load on {location} ended without a result: {lines[-1] if lines else repr(out)}"
        ) from None
