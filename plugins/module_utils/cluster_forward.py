# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP GET to a port of a pod, through the API server's port-forward.

The kubernetes client's own port-forward drops every header but the authorization, and with it an impersonated
identity, and keeps a thread and a socket pair per call. One GET needs neither: in the channel protocol
(`v4.channel.k8s.io`) each binary frame begins with a channel byte, 0 for data and 1 for errors, and the first frame
of each channel carries the port number.
"""

from __future__ import annotations

import http.client
import io
import ssl
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


class ForwardRefusedError(Exception):
    """The API server answered the upgrade with an HTTP status. body: what it said."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body


class ForwardBrokenError(Exception):
    """The upgrade worked, but the pod's port did not answer."""


def http_get(
    configuration: Configuration, url: str, headers: Sequence[tuple[str, str]], path: str, *, timeout: float
) -> tuple[int, bytes]:
    """Return status and body of `GET path` at the pod's port.

    url: the API server's `.../pods/NAME/portforward?ports=N`. timeout: seconds for each wait on the socket.
    Raises ForwardRefusedError, ForwardBrokenError, or what the websocket library and the socket raise.
    """
    connection = connect(configuration, url, headers, timeout)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        connection.send_binary(bytes([_DATA]) + request.encode("ascii"))
        response = http.client.HTTPResponse(_Stream(connection))  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ForwardBrokenError(f"no HTTP answer: {type(error).__name__} {error}") from error
    finally:
        connection.shutdown()


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
    """The data channel as a file; it also plays the socket that http.client asks for a file."""

    def __init__(self, connection: t.Any) -> None:
        super().__init__()
        self._connection = connection
        self._rest = b""
        self._announced: set[int] = set()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the buffered reader that http.client reads the answer from."""
        return io.BufferedReader(self)

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
