# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of the API server under faults a healthy server cannot be brought to: a scripted one on loopback."""

from __future__ import annotations

import datetime
import json
import socket
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, Conflict, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.kube import http
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Answer = tuple[int, t.Any, dict[str, str]]


class Scripted(ThreadingHTTPServer):
    """Answers each request with the next of `script`: (status, body, headers), or None to drop the connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Answer | None] = []
        self.dated = True
        self.seen: list[tuple[str, str, t.Any, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.server.seen.append((self.command, self.path, body, dict(self.headers.items())))
        answer = self.server.script.pop(0)
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status, content, headers = answer
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.server.dated:
            self.send_response(status)
        else:
            self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    one = Scripted()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()
    assert one.script == [], "not all answers were asked for"


@pytest.fixture
def cluster(server: Scripted) -> Cluster:
    return Cluster.connect({"host": server.url, "api_key": "k"}, {"no_proxy": "*"})


def status(code: int, reason: str = "", message: str = "said", **details: t.Any) -> Answer:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
    return code, body, {}


def items(*names: str, more: str = "") -> Answer:
    found = [{"metadata": {"name": name}} for name in names]
    return 200, {"apiVersion": "v1", "kind": "List", "metadata": {"continue": more}, "items": found}, {}


UNKNOWN_API: Answer = (404, b"404 page not found\n", {})


AGO: t.Final = "Tue, 01 Dec 2020 04:00:00 GMT"


@pytest.mark.parametrize(
    "fault",
    [
        status(429),
        status(500),
        status(503),
        (503, b"", {"Retry-After": "0"}),
        (503, b"", {"Retry-After": AGO}),
        (503, b"", {"Retry-After": "soon"}),
        (429, b"null", {"Retry-After": "-1"}),
        (503, b"<html>", {"Retry-After": "9" * 5000}),
        None,
    ],
    ids=lambda one: str(one)[:60],
)
def test_faults_that_pass_are_outlived(server: Scripted, cluster: Cluster, fault: Answer | None) -> None:
    server.script = [fault, items("one")]
    assert [one["metadata"]["name"] for one in cluster.list(kinds.POD, "ns")] == ["one"]
    assert cluster.requests == {"get": 1, "patch": 0, "post": 0, "delete": 0}


def test_a_write_is_repeated_too_for_it_carries_its_precondition(server: Scripted, cluster: Cluster) -> None:
    server.script = [None, (200, {"kind": "Pod"}, {})]
    cluster.patch(kinds.POD, "ns", "one", [{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}])
    assert [seen[0] for seen in server.seen] == ["PATCH", "PATCH"]


def test_a_fault_that_stays_ends_in_an_error_that_says_so(server: Scripted, cluster: Cluster) -> None:
    server.script = [status(500, "InternalError", "etcd is full")] * 4
    with pytest.raises(ApiError) as caught:
        cluster.get(kinds.POD, "ns", "one")
    assert caught.value.status == 500
    assert "Reading Pod ns/one" in caught.value.msg
    assert "etcd is full" in caught.value.msg
    assert "several attempts" in caught.value.msg


def test_the_longest_pause_is_ours_not_the_servers() -> None:
    from ansible_collections.meshops.canary.plugins.module_utils.kube.http import LONGEST_PAUSE, bounded_retry
    from urllib3 import HTTPResponse

    desired = HTTPResponse(status=503, headers={"Retry-After": "3600"})
    assert bounded_retry().get_retry_after(desired) == LONGEST_PAUSE
    assert bounded_retry().get_retry_after(HTTPResponse(status=503, headers={"Retry-After": "1"})) == 1
    assert bounded_retry().get_retry_after(HTTPResponse(status=503)) is None


def test_a_pause_may_be_a_date() -> None:
    from ansible_collections.meshops.canary.plugins.module_utils.kube.http import bounded_retry
    from urllib3 import HTTPResponse

    now = datetime.datetime.now(datetime.timezone.utc)
    later = (now + datetime.timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    pause = bounded_retry().get_retry_after(HTTPResponse(status=503, headers={"Retry-After": later}))
    assert pause is not None
    assert 2 < pause <= 5


def test_the_older_version_is_tried_once_and_remembered(server: Scripted, cluster: Cluster) -> None:
    server.script = [UNKNOWN_API, items("one"), items("two")]
    cluster.list(kinds.VIRTUAL_SERVICE, "ns")
    cluster.list(kinds.VIRTUAL_SERVICE, "ns")
    base = "/apis/networking.istio.io/{}/namespaces/ns/virtualservices?limit=500"
    assert [seen[1] for seen in server.seen] == [base.format("v1"), base.format("v1beta1"), base.format("v1beta1")]


def test_an_object_is_created_in_the_version_the_server_knows(server: Scripted, cluster: Cluster) -> None:
    server.script = [UNKNOWN_API, (201, {}, {})]
    body = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "one"}}
    cluster.create(kinds.VIRTUAL_SERVICE, "ns", body)
    assert server.seen[1][2]["apiVersion"] == "networking.istio.io/v1beta1"
    assert body["apiVersion"] == "networking.istio.io/v1"


def test_a_missing_api_is_not_a_missing_object(server: Scripted, cluster: Cluster) -> None:
    server.script = [UNKNOWN_API, UNKNOWN_API]
    with pytest.raises(ApiError, match="Istio is not installed") as caught:
        cluster.get(kinds.VIRTUAL_SERVICE, "ns", "one")
    assert caught.value.status == 404
    server.script = [status(404, "NotFound")]
    assert cluster.get(kinds.VIRTUAL_SERVICE, "ns", "one") is None


def test_long_lists_come_in_pages(server: Scripted, cluster: Cluster) -> None:
    server.script = [items("one", more="next"), items("two")]
    found = cluster.list(kinds.POD, label_selector="app=a")
    assert [one["metadata"]["name"] for one in found] == ["one", "two"]
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("v1", "Pod")}
    assert server.seen[1][1] == "/api/v1/pods?limit=500&labelSelector=app%3Da&continue=next"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(401, "Unauthorized"), ApiError, "Log in again"),
        (status(403, "Forbidden", "no"), ApiError, 'Grant the verb "patch" on "virtualservices"'),
        (status(403, "Forbidden", "exceeded quota: q"), ApiError, "exceeded quota: q. Nothing was written"),
        (status(400, "BadRequest", 'admission webhook "w" denied'), ApiError, "The message of the webhook"),
        (status(422, "Invalid", "spec is wrong", causes=[{"field": "spec"}]), ApiError, "spec is wrong"),
        (
            status(422, "Invalid", "the server rejected our request due to an error in our request"),
            Conflict,
            "conflicts with a concurrent change",
        ),
        (status(409, "Conflict", "modified"), Conflict, "conflicts with a concurrent change: modified"),
        ((200, b"<html>please log in", {}), ApiError, "not JSON"),
        ((200, b"null", {}), ApiError, "not null"),
        ((200, b"[]", {}), ApiError, "not a list"),
        ((200, b"[" * 100_000, {}), ApiError, "not JSON"),
        ((422, b'{"kind": "Status", "details": [], "message": "no"}', {}), ApiError, "no"),
        ((302, b"", {"Location": "/login"}), ApiError, "302"),
        ((403, b"<html>proxy says no", {}), ApiError, "proxy says no"),
    ],
)
def test_every_refusal_has_its_sentence(
    server: Scripted, cluster: Cluster, answer: Answer, error: type[Exception], words: str
) -> None:
    server.script = [answer]
    with pytest.raises(error) as caught:
        cluster.patch(kinds.VIRTUAL_SERVICE, "ns", "one", [])
    said = str(caught.value)
    assert said.startswith("Changing VirtualService ns/one")
    assert words in said


def test_writes_are_strict_and_dry_runs_say_so(server: Scripted, cluster: Cluster) -> None:
    server.script = [(200, {}, {})] * 3
    cluster.patch(kinds.POD, "ns", "one", [], dry_run=True)
    cluster.create(kinds.POD, "ns", {"metadata": {"name": "one"}})
    cluster.delete(kinds.POD, "ns", "one", resource_version="7", dry_run=True)
    patch, create, delete = server.seen
    assert patch[1].endswith("/pods/one?fieldValidation=Strict&fieldManager=meshops.canary&dryRun=All")
    assert patch[3]["Content-Type"] == "application/json-patch+json"
    assert create[1].endswith("/pods?fieldValidation=Strict&fieldManager=meshops.canary")
    assert (delete[2]["preconditions"], delete[2]["dryRun"]) == ({"resourceVersion": "7"}, ["All"])


def test_deleting_an_object_that_does_not_exist_is_no_error(server: Scripted, cluster: Cluster) -> None:
    server.script = [status(404, "NotFound")]
    cluster.delete(kinds.POD, "ns", "one")
    assert [request[0] for request in server.seen] == ["DELETE"]


def test_warnings_of_the_api_are_kept_once(server: Scripted, cluster: Cluster) -> None:
    result = {"Warning": '299 - "v1beta1 is \\"old\\", use v1"'}
    server.script = [(200, {"items": [], "apiVersion": "v1"}, result)] * 2
    cluster.list(kinds.POD, "ns")
    cluster.list(kinds.POD, "ns")
    assert cluster.warnings == ('v1beta1 is "old", use v1',)


def test_the_servers_clock_is_kept(server: Scripted, cluster: Cluster) -> None:
    assert cluster.server_time is None
    server.script = [items()]
    cluster.list(kinds.POD, "ns")
    assert cluster.server_time is not None
    assert cluster.server_time.tzinfo is not None


@pytest.mark.parametrize("date", ["yesterday", "Tue, 01 Dec 2026 04:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_answer_with_an_odd_date_is_used(server: Scripted, cluster: Cluster, date: str) -> None:
    server.script = [(200, items("one")[1], {"Date": date})]
    server.dated = False
    assert [one["metadata"]["name"] for one in cluster.list(kinds.POD, "ns")] == ["one"]
    assert cluster.server_time is None or cluster.server_time.tzinfo is not None


@pytest.mark.parametrize(
    "items",
    [{"a": 1}, "text", 7, [None], ["text"], [{"metadata": []}], [{"metadata": {}}], [{"metadata": {"name": 1}}]],
)
def test_a_list_of_something_else_is_an_error(server: Scripted, cluster: Cluster, items: t.Any) -> None:
    server.script = [(200, {"apiVersion": "v1", "kind": "List", "items": items}, {})]
    with pytest.raises(ApiError, match=r"Listing pods in namespace ns: .*Check that host is the API server"):
        cluster.list(kinds.POD, "ns")


def test_a_list_that_never_ends_is_an_error(server: Scripted, cluster: Cluster) -> None:
    server.script = [items("one", more="again"), items("one", more="again")]
    with pytest.raises(ApiError, match="again and again"):
        cluster.list(kinds.POD, "ns")


@pytest.mark.parametrize(
    "found", [{}, {"metadata": {"name": "two"}}, {"metadata": None}, {"metadata": {"name": "one"}, "spec": 1}]
)
def test_another_object_than_the_one_asked_for_is_an_error(server: Scripted, cluster: Cluster, found: t.Any) -> None:
    server.script = [(200, found, {})]
    with pytest.raises(ApiError, match="Check that host is the API server"):
        cluster.get(kinds.POD, "ns", "one")


@pytest.mark.parametrize("option", ["api_key", "impersonate_user"])
@pytest.mark.parametrize("value", ["token\n", "a\r\nX-Evil: 1", "\u20ac"])
def test_a_credential_that_no_header_can_have_is_refused_unseen(option: str, value: str) -> None:
    cluster = Cluster.connect({"host": "http://127.0.0.1:1", "api_key": "k", option: value}, {})
    with pytest.raises(InvalidInput, match="cannot be sent") as caught:
        cluster.get(kinds.POD, "ns", "one")
    assert "token" not in caught.value.msg.replace("token read", "")
    assert "Evil" not in caught.value.msg


def test_parts_of_a_second_are_our_clocks_and_the_seconds_are_the_servers() -> None:
    date = datetime.datetime(2026, 11, 25, 12, 0, 7, tzinfo=datetime.timezone.utc)
    for ahead, result in (
        (-3600.0, 0.0),
        (-0.2, 0.0),
        (0.0, 0.0),
        (0.25, 0.25),
        (0.9985, 0.9985),
        (1.2, 0.999),
        (3600.0, 0.999),
    ):
        here = date + datetime.timedelta(seconds=ahead)
        assert (http.finely(date, here) - date).total_seconds() == result


def test_names_cannot_leave_their_place_in_the_path(server: Scripted, cluster: Cluster) -> None:
    server.script = [status(404, "NotFound")]
    cluster.get(kinds.SERVICE, "ns", "../../secrets")
    assert server.seen[0][1] == "/api/v1/namespaces/ns/services/..%2F..%2Fsecrets"


@pytest.mark.parametrize(
    ("host", "kind"),
    [("http://127.0.0.1:1", "connection refused"), ("http://nowhere.invalid", "unknown host name")],
)
def test_no_answer_is_told_by_its_cause(host: str, kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        Cluster.connect({"host": host, "api_key": "k"}, {}).get(kinds.POD, "ns", "one")
    assert caught.value.details["reason"] == kind
    assert f"no answer from {host} ({kind})" in caught.value.msg
    assert caught.value.status is None


def test_a_connection_that_ends_in_its_handshake_is_tried_again_and_is_no_matter_of_certificates() -> None:
    accepted = []

    def close_each(listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            accepted.append(connection.recv(5000))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=close_each, args=(listener,), daemon=True).start()
        host = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ApiError) as caught:
            Cluster.connect({"host": host, "api_key": "k"}, {}).get(kinds.POD, "ns", "one")
    assert caught.value.details["reason"] == "connection closed", caught.value.msg
    assert "certificate" not in caught.value.msg
    assert len(accepted) == 3


def test_a_server_that_hangs_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.meshops.canary.plugins.module_utils.kube import http

    monkeypatch.setattr(http, "READ_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiError) as caught:
            Cluster.connect({"host": host, "api_key": "k"}, {}).get(kinds.POD, "ns", "one")
    assert caught.value.details["reason"] == "timeout"


def test_forwarding_a_port_of_a_server_that_cannot_is_refused_in_words(server: Scripted, cluster: Cluster) -> None:
    server.script = [status(403, "Forbidden", "no")]
    with pytest.raises(ApiError) as caught:
        cluster.port_forward("ns", "pod", 15000, "/config_dump")
    assert caught.value.status == 403
    assert 'Grant the verbs "get" and "create" on "pods/portforward"' in caught.value.msg


def test_access_is_asked_with_all_that_is_known(server: Scripted, cluster: Cluster) -> None:
    server.script = [(201, {"status": {"allowed": True}}, {}), (201, {"status": {}}, {})]
    assert cluster.access_review("create", kinds.POD, "ns", subresource="portforward") is True
    assert cluster.access_review("list", kinds.VIRTUAL_SERVICE, None) is False
    assert [seen[2]["spec"]["resourceAttributes"] for seen in server.seen] == [
        {"verb": "create", "group": "", "resource": "pods", "namespace": "ns", "subresource": "portforward"},
        {"verb": "list", "group": "networking.istio.io", "resource": "virtualservices"},
    ]
