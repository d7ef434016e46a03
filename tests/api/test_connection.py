# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every documented way to reach the API server, on a real one."""

from __future__ import annotations

import base64
import json
import socket
import threading
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.kube.resources import NAMESPACE, POD

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.lab import Lab


class Access(t.NamedTuple):
    """The parts of the lab's kubeconfig. ca, cert, key: paths of files."""

    config: dict[str, t.Any]
    path: str
    host: str
    ca: str
    cert: str
    key: str
    cert_text: str
    key_text: str


@pytest.fixture
def access(lab: Lab, tmp_path: Path) -> Access:
    with open(lab.kubeconfig, encoding="utf-8") as file:  # noqa: PTH123
        config = yaml.safe_load(file)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    texts = {
        "ca": base64.b64decode(cluster["certificate-authority-data"]).decode(),
        "cert": base64.b64decode(user["client-certificate-data"]).decode(),
        "key": base64.b64decode(user["client-key-data"]).decode(),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    paths = {name: str(tmp_path / name) for name in texts}
    return Access(config, lab.kubeconfig, cluster["server"], cert_text=texts["cert"], key_text=texts["key"], **paths)


def namespaces(params: dict[str, t.Any], env: dict[str, str] | None = None) -> set[str]:
    """Connect and return the names of all namespaces."""
    cluster = Cluster.connect(params, {"HOME": "/nowhere", **(env or {})})
    return {one["metadata"]["name"] for one in cluster.list(NAMESPACE)}


def test_kubeconfig_as_path_dictionary_list_and_environment_variable(access: Access) -> None:
    expected = namespaces({"kubeconfig": access.path})
    assert "kube-system" in expected
    assert namespaces({"kubeconfig": access.config}) == expected
    assert namespaces({"kubeconfig": f"/nowhere:{access.path}"}) == expected
    assert namespaces({"kubeconfig": access.path, "context": access.config["contexts"][0]["name"]}) == expected
    assert namespaces({}, {"KUBECONFIG": access.path}) == expected
    assert namespaces({}, {"K8S_AUTH_KUBECONFIG": access.path}) == expected


def test_host_and_certificates_work_without_a_kubeconfig(access: Access) -> None:
    params = {"host": access.host, "ca_cert": access.ca, "client_cert": access.cert, "client_key": access.key}
    assert "kube-system" in namespaces(params)
    env = {"HOST": access.host, "SSL_CA_CERT": access.ca, "CERT_FILE": access.cert, "KEY_FILE": access.key}
    assert "kube-system" in namespaces({}, {f"K8S_AUTH_{name}": value for name, value in env.items()})


def test_an_untrusted_certificate_is_reported(access: Access) -> None:
    params = {"host": access.host, "client_cert": access.cert, "client_key": access.key}
    with pytest.raises(ApiError) as caught:
        namespaces(params)
    assert caught.value.details["reason"] == "tls"
    assert "ca_cert" in caught.value.msg
    assert "kube-system" in namespaces({**params, "validate_certs": False})


def test_a_credential_plugin_may_return_certificates(access: Access, tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"clientCertificateData": access.cert_text, "clientKeyData": access.key_text},
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    plugin = {"apiVersion": answer["apiVersion"], "command": "cat", "args": [str(tmp_path / "answer.json")]}
    config = {**access.config, "users": [{**access.config["users"][0], "user": {"exec": plugin}}]}
    assert "kube-system" in namespaces({"kubeconfig": config})


def test_impersonation_applies_to_requests_and_forwarded_ports(access: Access) -> None:
    params = {"kubeconfig": access.path, "impersonate_user": "nobody-special"}
    with pytest.raises(ApiError, match='User "nobody-special" cannot list') as caught:
        namespaces(params)
    assert caught.value.status == 403
    cluster = Cluster.connect(params, {})
    with pytest.raises(ApiError, match='User "nobody-special" cannot get resource "pods/portforward"'):
        cluster.port_forward("kube-system", "any", 80, "/")
    masters = {**params, "impersonate_groups": ["some", "system:masters"]}
    assert "kube-system" in namespaces(masters)


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that understands CONNECT; yields its URL and the list of the targets of its requests."""
    targets: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _peer = server.accept()
            except OSError:
                return
            head = client.recv(4096).decode()
            target = head.split(" ")[1]
            targets.append(target)
            host, _colon, port = target.rpartition(":")
            upstream = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", targets
    server.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_a_proxy_carries_requests_and_forwarded_ports(access: Access, proxy: tuple[str, list[str]]) -> None:
    url, targets = proxy
    target = access.host.removeprefix("https://")
    assert "kube-system" in namespaces({"kubeconfig": access.path, "proxy": url, "no_proxy": "elsewhere"})
    assert targets == [target]
    cluster = {**access.config["clusters"][0]["cluster"], "proxy-url": url}
    config = {**access.config, "clusters": [{**access.config["clusters"][0], "cluster": cluster}]}
    assert "kube-system" in namespaces({"kubeconfig": config, "no_proxy": "elsewhere"})
    assert targets == [target] * 2
    connected = Cluster.connect({"kubeconfig": config, "no_proxy": "elsewhere"}, {})
    dns = connected.list(POD, "kube-system", label_selector="k8s-app=kube-dns")[0]["metadata"]["name"]
    before = len(targets)
    for _again in range(3):
        assert b"coredns_build_info" in connected.port_forward("kube-system", dns, 9153, "/metrics")
    assert len(targets) == before + 1, "a tunnel stays open for the next request"
    for tunnel in connected._transport._tunnels._idle.values():
        tunnel._connection.sock.shutdown(socket.SHUT_RDWR)
    assert b"coredns_build_info" in connected.port_forward("kube-system", dns, 9153, "/metrics")
    assert len(targets) == before + 2, "a tunnel whose other end has gone is opened again"


def test_hosts_of_no_proxy_are_reached_directly(access: Access, proxy: tuple[str, list[str]]) -> None:
    url, targets = proxy
    assert "kube-system" in namespaces({"kubeconfig": access.path, "proxy": url, "no_proxy": "127.0.0.0/8"})
    assert targets == []


def test_a_forwarded_port_returns_the_whole_answer_or_the_error(access: Access) -> None:
    cluster = Cluster.connect({"kubeconfig": access.path}, {})
    dns = cluster.list(POD, "kube-system", label_selector="k8s-app=kube-dns")[0]["metadata"]["name"]
    text = cluster.port_forward("kube-system", dns, 9153, "/metrics").decode()
    assert text.endswith("\n")
    assert len(text) > 10_000
    for port, path, words in ((9153, "/nothing", "404"), (9154, "/", "connection refused")):
        with pytest.raises(ApiError, match=words):
            cluster.port_forward("kube-system", dns, port, path)
    with pytest.raises(ApiError, match='pods "gone" not found'):
        cluster.port_forward("kube-system", "gone", 80, "/")
