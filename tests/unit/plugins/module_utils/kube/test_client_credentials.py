# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials that expire while a task waits: a rotated token file, a plugin without expiry, a new login."""

from __future__ import annotations

import json
import os
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.kube import http
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import in_parallel

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Server(ThreadingHTTPServer):
    """Accepts one token. tokens: all that were sent."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted = "first"
        self.tokens: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = str(self.headers.get("Authorization")).removeprefix("Bearer ")
        self.server.tokens.append(token)
        good = token == self.server.accepted
        status = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
        name = self.path.partition("?")[0].rpartition("/")[2]
        payload = json.dumps({"kind": "Pod", "metadata": {"name": name}} if good else status).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_PATCH = handle_any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def connected(folder: Path, server: Server, user: dict[str, t.Any]) -> Cluster:
    path = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server.url}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "user"}}],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Cluster.connect({"kubeconfig": str(path)}, {**os.environ, "no_proxy": "*"})


def plugin(folder: Path) -> dict[str, t.Any]:
    """Return a user with a plugin that prints the token in a file, and never says when it expires."""
    script = folder / "plugin"
    credential = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}'
    )
    script.write_text(f"#!/bin/sh\ntest -s {folder}/token || exit 7\nprintf '{credential}' \"$(cat {folder}/token)\"\n")
    script.chmod(0o755)
    api = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api, "command": str(script), "interactiveMode": "Never"}}


@pytest.mark.parametrize("way", ["tokenFile", "plugin"])
def test_credentials_that_were_rotated_are_read_again_when_the_server_refuses_them(
    tmp_path: Path, server: Server, way: str
) -> None:
    (tmp_path / "token").write_text("first")
    user = {"tokenFile": str(tmp_path / "token")} if way == "tokenFile" else plugin(tmp_path)
    cluster = connected(tmp_path, server, user)
    assert cluster.get(kinds.POD, "ns", "one")
    server.accepted = "second"
    (tmp_path / "token").write_text("second")
    assert cluster.get(kinds.POD, "ns", "one")
    patch = [{"op": "add", "path": "/metadata/labels", "value": {}}]
    assert cluster.patch(kinds.POD, "ns", "one", patch), "a write too: what is refused has not been done"
    assert server.tokens == ["first", "first", "second", "second"]
    assert cluster.requests == {"get": 2, "patch": 1, "post": 0, "delete": 0}, "a retry counts once"


def test_a_new_login_in_the_kubeconfig_is_taken(tmp_path: Path, server: Server) -> None:
    cluster = connected(tmp_path, server, {"token": "first"})
    assert cluster.get(kinds.POD, "ns", "one")
    server.accepted = "second"
    connected(tmp_path, server, {"token": "second"})
    assert cluster.get(kinds.POD, "ns", "one")


def test_many_threads_renew_once(tmp_path: Path, server: Server) -> None:
    (tmp_path / "token").write_text("first")
    cluster = connected(tmp_path, server, {"tokenFile": str(tmp_path / "token")})
    assert cluster.get(kinds.POD, "ns", "one")
    server.accepted = "second"
    (tmp_path / "token").write_text("second")
    answers = in_parallel(lambda name: cluster.get(kinds.POD, "ns", name), [f"p{number}" for number in range(12)])
    assert all(isinstance(answer, dict) for _name, answer in answers), answers


def test_credentials_that_stay_refused_are_not_read_at_every_request(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("wrong")
    cluster = connected(tmp_path, server, {"tokenFile": str(tmp_path / "token")})
    for _request in range(4):
        with pytest.raises(ApiError, match=r"401 Unauthorized.*Log in again") as caught:
            cluster.get(kinds.POD, "ns", "one")
        assert caught.value.status == 401
    assert len(server.tokens) == 5
    monkeypatch.setattr(http, "RENEW_EVERY", 0.0)
    (tmp_path / "token").write_text("first")
    assert cluster.get(kinds.POD, "ns", "one")


def test_a_plugin_that_fails_later_is_named(tmp_path: Path, server: Server) -> None:
    (tmp_path / "token").write_text("first")
    cluster = connected(tmp_path, server, plugin(tmp_path))
    server.accepted = "second"
    (tmp_path / "token").write_text("")
    with pytest.raises(ApiError, match="its credential plugin failed"):
        cluster.get(kinds.POD, "ns", "one")


def test_a_token_that_is_an_option_is_sent_once(server: Server) -> None:
    cluster = Cluster.connect({"host": server.url, "api_key": "wrong"}, {"no_proxy": "*"})
    with pytest.raises(ApiError, match="401"):
        cluster.get(kinds.POD, "ns", "one")
    assert server.tokens == ["wrong"]
