# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application as a process with a port, the way its pods are."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import typing as t

from support.collection import ROOT

if t.TYPE_CHECKING:
    import subprocess

LAB = ROOT / "lab"


class Answer(t.NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> t.Any:
        return json.loads(self.text)


class Running:
    """One service's process and its port."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def request(self, method: str, path: str, body: str | None = None, headers: t.Any = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        names = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        connection.request(method, path, body, names)
        response = connection.getresponse()
        answer = Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read().decode())
        connection.close()
        return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bookinfo", *arguments]


def upstreams(**services: int) -> dict[str, str]:
    """The environment that points a service at others on this machine."""
    hosts = {f"{name.upper()}_HOSTNAME": "127.0.0.1" for name in services}
    return {**hosts, **{f"{name.upper()}_SERVICE_PORT": str(port) for name, port in services.items()}}
