# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP GETs to a port of a pod, through the API server's port-forward.

The kubernetes client's own port-forward drops every header but the authorization, and with it an impersonated
identity, and keeps a thread and a socket pair per call. A GET needs neither: in the channel protocol
(`v4.channel.k8s.io`) each binary frame begins with a channel byte, 0 for data and 1 for errors, and the first frame
of each channel carries the port number.

To open a tunnel costs the API server, the kubelet and the container runtime ten times what a GET through it does. So
it stays open for the next one: who waits for a proxy or watches it asks it many times.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ssl
import threading
import typing as t
from urllib.parse import urlsplit

try:
    import websocket

    WEBSOCKET_ERROR: type[Exception] = websocket.WebSocketException
except ImportError:  # it comes with the kubernetes library, whose absence is reported for both
    WEBSOCKET_ERROR = ConnectionError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.client import Configuration

_DATA, _ERROR = 0, 1
_PROTOCOL = "v4.channel.k8s.io"
KEPT: t.Final = 64
"""Tunnels that stay open at most: in a larger mesh the others are opened anew for each look."""


class ForwardRefusedError(Exception):
    """The API server answered the upgrade with an HTTP status. body: what it said."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body


class ForwardBrokenError(Exception):
    """The upgrade worked, but the pod's port did not answer."""


class Tunnels:
    """The open tunnels of one user to one API server, for any number of threads: each is used by one at a time."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._idle: dict[str, Tunnel] = {}

    def get(self, url: str, headers: Sequence[tuple[str, str]], path: str, *, timeout: float) -> tuple[int, bytes]:
        """Return status and body of `GET path` at the pod's port.

        url: the API server's `.../pods/NAME/portforward?ports=N`. timeout: seconds for each wait on the socket.
        Raises ForwardRefusedError, ForwardBrokenError, or what the websocket library and the socket raise.
        """
        with self._lock:
            tunnel = self._idle.pop(url, None)
        if tunnel:
            with contextlib.suppress(ForwardBrokenError, WEBSOCKET_ERROR, OSError):
                return self._ask(tunnel, url, path)  # else its other end has gone since, which a new one will tell
        return self._ask(Tunnel(connect(self._configuration, url, headers, timeout)), url, path)

    def _ask(self, tunnel: Tunnel, url: str, path: str) -> tuple[int, bytes]:
        try:
            return tunnel.get(path)
        finally:
            self._keep_or_close(tunnel, url)

    def _keep_or_close(self, tunnel: Tunnel, url: str) -> None:
        with self._lock:
            if tunnel.stays_open and url not in self._idle and len(self._idle) < KEPT:
                self._idle[url] = tunnel
                return
        tunnel.close()


class Tunnel:
    """One port of a pod, behind an open websocket. stays_open: whether it takes a request after its last answer."""

    def __init__(self, connection: t.Any) -> None:
        self._connection = connection
        self._stream = _Stream(connection)
        self.stays_open = False

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of `GET path`."""
        self.stays_open = False
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
        self._connection.send_binary(bytes([_DATA]) + request.encode("ascii"))
        response = http.client.HTTPResponse(self._stream)  # type: ignore[arg-type]
        try:
            response.begin()
            body = response.read()
        except http.client.HTTPException as error:
            raise ForwardBrokenError(f"no HTTP answer: {type(error).__name__} {error}") from error
        self.stays_open = not response.will_close
        return response.status, body

    def close(self) -> None:
        """Close the socket without a word, as a caller who has ended would."""
        self._connection.shutdown()

    def __del__(self) -> None:
        self.close()


def connect(configuration: Configuration, url: str, headers: Sequence[tuple[str, str]], timeout: float) -> t.Any:
    """Return the open websocket. Raises ForwardRefusedError if the API server refuses the upgrade."""
    options: dict[str, t.Any] = {}
    if configuration.proxy:
        proxy = urlsplit(configuration.proxy)
        options = {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port, "proxy_type": proxy.scheme}
        if proxy.username:
            options["http_proxy_auth"] = (proxy.username, proxy.password or "")
    # an empty list would make the library read no_proxy of the process's environment instead
    options["http_no_proxy"] = [host.strip() for host in (configuration.no_proxy or "").split(",") if host.strip()]
    connection: t.Any = websocket.WebSocket(sslopt=_tls(configuration), enable_multithread=False)
    connection.settimeout(timeout)
    try:
        connection.connect(
            "ws" + url.removeprefix("http"),
            header=[f"{name}: {value}" for name, value in headers],
            subprotocols=[_PROTOCOL],
            suppress_origin=True,
            **options,
        )
    except websocket.WebSocketBadStatusException as error:
        raise ForwardRefusedError(error.status_code, error.resp_body or b"") from error
    except (ValueError, IndexError, TypeError) as error:  # what the library makes of an answer that is not HTTP
        raise websocket.WebSocketException(f"the answer to the upgrade is not HTTP: {error}") from error
    return connection


def _tls(configuration: Configuration) -> dict[str, t.Any]:
    options: dict[str, t.Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
    if not configuration.verify_ssl:
        options["check_hostname"] = False
    if configuration.ssl_ca_cert:
        options["ca_certs"] = configuration.ssl_ca_cert
    if configuration.cert_file:
        options["certfile"] = configuration.cert_file
        options["keyfile"] = configuration.key_file
    if getattr(configuration, "tls_server_name", None):
        options["server_hostname"] = configuration.tls_server_name
    return options


class _Stream(io.RawIOBase):
    """The data channel as a file; it also plays the socket that http.client asks for a file, a new one an answer."""

    def __init__(self, connection: t.Any) -> None:
        super().__init__()
        self._connection = connection
        self._rest = b""
        self._announced: set[int] = set()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the buffered reader that http.client reads one answer from, and closes."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Stay open: an answer's end is not the channel's, which ends with the websocket."""

    def readable(self) -> bool:
        """Return True: this is the receiving side."""
        return True

    def readinto(self, buffer: t.Any) -> int:
        """Fill `buffer` from the next data frame; 0 at the end of the stream."""
        while not self._rest:
            frame = self._next_frame()
            if frame is None:
                return 0
            self._rest = frame
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def _next_frame(self) -> bytes | None:
        try:
            opcode, data = self._connection.recv_data()
        except websocket.WebSocketConnectionClosedException:
            return None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return None
        if not data:
            return b""
        channel, payload = data[0], bytes(data[1:])
        if channel not in self._announced:
            self._announced.add(channel)
            return b""
        if channel == _ERROR:
            raise ForwardBrokenError(payload.decode(errors="replace").strip())
        return payload
