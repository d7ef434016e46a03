# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Something answers that does not speak HTTP, or speaks it wrongly: every client says so, with what to check.

Answers with the wrong content are in tests/property/test_odd_answers.py.
"""

from __future__ import annotations

import socket
import threading
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import probes
from ansible_collections.meshops.canary.plugins.module_utils.kube import http
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Prometheus

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS: t.Final = [
    b"",
    b"\0\1\2",
    b"SSH-2.0-OpenSSH_9\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 99999 no\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n{}",
    b"HTTP/1.1 503 x\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
]


@pytest.fixture(params=ANSWERS, ids=lambda one: repr(one[:60]))
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give each connection the same bytes, and end it."""
    retry = http.bounded_retry
    monkeypatch.setattr(http, "bounded_retry", lambda: retry().new(backoff_factor=0.001))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(request.param)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def cluster(url: str) -> Cluster:
    return Cluster.connect({"host": url, "api_key": "k"}, {"no_proxy": "*"})


def test_the_api_server(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as caught:
        cluster.get(kinds.POD, "shop", "web-1")
    assert caught.value.msg.startswith("Reading Pod shop/web-1")


def test_a_forwarded_port(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as caught:
        cluster.port_forward("shop", "web-1", 15000, "/config_dump", timeout=0.5)
    assert "Pod shop/web-1" in caught.value.msg


def test_a_command_in_a_pod(cluster: Cluster) -> None:
    with pytest.raises(ApiError) as caught:
        cluster.execute("shop", "web-1", ["true"], timeout=0.5)
    assert "Pod shop/web-1" in caught.value.msg


def test_prometheus(url: str) -> None:
    with pytest.raises(MetricsError) as caught:
        Prometheus(url, timeout=1).query("up")
    assert caught.value.msg.startswith(f"Prometheus at {url} answered query with ")


def test_a_check_by_http(url: str) -> None:
    options = {"url": url, "headers": {1: 2}, "validate_certs": True, "timeout": 1.0}
    try:
        answer = probes.http_probe(options)()
    except CanaryError as error:
        assert error.msg.startswith(url)  # noqa: PT017 - what can be read as an answer is one
    else:
        assert answer.partition("\n")[0].isdigit()
