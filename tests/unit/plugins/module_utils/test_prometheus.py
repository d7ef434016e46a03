# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of Prometheus against a server that answers badly; how the real one answers is in tests/mesh."""

from __future__ import annotations

import http.server
import json
import math
import threading
import typing as t
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Prometheus, Series

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """Answers every request with what `answer` says, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, dict[str, str]]] = []
        self.received: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self._serve(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def _serve(self, query: str) -> None:
                fields = {name: values[0] for name, values in parse_qs(query).items()}
                outer.received.append((self.command, urlsplit(self.path).path, fields, dict(self.headers)))
                status, body, headers = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_words: t.Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def says(self, *answers: t.Any, status: int = 200, **headers: str) -> None:
        """Set the answers; the last one is repeated. Text is sent as it is, other things as JSON."""
        texts = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
        self.answers = [(status, text, headers) for text in texts]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def success(kind: str, result: t.Any, **more: t.Any) -> dict[str, t.Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def test_a_vector_with_its_labels_nan_and_infinity(server: Server) -> None:
    values = [{"metric": {"v": str(place)}, "value": [7.5, value]} for place, value in enumerate(["3", "NaN", "+Inf"])]
    server.says(success("vector", values))
    found = Prometheus(server.url).query("up")
    assert found[0] == Series({"v": "0"}, ((7.5, 3.0),))
    assert math.isnan(found[1].value)
    assert found[2].value == math.inf


def test_empty_is_empty_and_a_scalar_is_one(server: Server) -> None:
    server.says(success("vector", []))
    assert Prometheus(server.url).query("up") == []
    server.says(success("scalar", [1, "4"]))
    assert Prometheus(server.url).query("4") == [Series({}, ((1.0, 4.0),))]


def test_a_range_leaves_gaps_out(server: Server) -> None:
    server.says(
        success("matrix", [{"metric": {"a": "b"}, "values": [[1, "2"], [3, "NaN"]]}, {"metric": {}, "values": []}])
    )
    (series,) = Prometheus(server.url).query_range("up", 1, 3, 2)
    assert series.labels == {"a": "b"}
    assert series.values[0] == (1.0, 2.0)
    assert math.isnan(series.value)
    assert server.received[0][1:3] == (
        "/api/v1/query_range",
        {"query": "up", "start": "1.000", "end": "3.000", "step": "2", "timeout": "10"},
    )


def test_credentials_headers_and_time_are_sent(server: Server) -> None:
    server.says(success("vector", []))
    Prometheus(server.url + "/prom/", token="s3cret", headers={"X-Scope-OrgID": "shop"}).query("up", at=12.3456)
    Prometheus(server.url, username="ada", password="s3cret").query("up")
    (_verb, path, fields, headers), (_verb2, _path2, fields2, headers2) = server.received
    assert (path, fields["time"]) == ("/prom/api/v1/query", "12.346")
    assert (headers["Authorization"], headers["X-Scope-OrgID"]) == ("Bearer s3cret", "shop")
    assert headers2["Authorization"] == "Basic YWRhOnMzY3JldA=="
    assert "time" not in fields2


def test_headers_may_be_numbers(server: Server) -> None:
    server.says(success("vector", []))
    Prometheus(server.url, headers={1: 2, "X-Scope-OrgID": 7}).query("up")  # type: ignore[dict-item]
    headers = server.received[0][3]
    assert (headers["1"], headers["X-Scope-OrgID"]) == ("2", "7")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": {"a b": "c"}}, "prometheus_headers: 'a b' is not the name of a header"),
        ({"headers": {"X": ["c"]}}, "prometheus_headers: the header X must have one text"),
        ({"headers": {"X": None}}, "prometheus_headers: the header X must have one text"),
        ({"headers": {"X": "s3cret\nY: 1"}}, "prometheus_headers: the value of the header X has a line break"),
        ({"token": "s3cret\n"}, "prometheus_token has a line break"),
        ({"timeout": 0.0}, "prometheus_timeout must be above 0"),
        ({"timeout": float("nan")}, "prometheus_timeout must be above 0"),
        ({"timeout": 1e9}, "prometheus_timeout must be above 0"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_not_shown(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        Prometheus("http://p", **options)
    assert "s3cret" not in caught.value.msg


def test_long_queries_are_sent_as_a_form(server: Server) -> None:
    server.says(success("vector", []))
    question = " or ".join(f'up{{job="{number}"}}' for number in range(600))
    Prometheus(server.url).query(question)
    assert server.received[0][0] == "POST"
    assert server.received[0][2]["query"] == question


def test_warnings_are_kept_once(server: Server) -> None:
    server.says(success("vector", [], warnings=["partial response"]))
    client = Prometheus(server.url)
    client.query("up")
    client.query("up")
    assert client.warnings == ["partial response"]


@pytest.mark.parametrize(
    ("status", "answer", "headers", "reason"),
    [
        (200, "<html>Grafana</html>", {}, "not_prometheus"),
        (200, "[]", {}, "not_prometheus"),
        (404, "404 page not found", {}, "not_prometheus"),
        (302, "", {"Location": "https://login.example.com"}, "refused"),
        (401, "Unauthorized", {}, "refused"),
        (403, {"kind": "Status", "status": "Failure", "message": "no"}, {}, "refused"),
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, {}, "query"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, {}, "query"),
        (401, {"status": "error", "errorType": "auth", "error": "no org id"}, {}, "refused"),
        (429, {"status": "error", "errorType": "too_many_requests", "error": "wait"}, {}, "unreachable"),
        (429, "Too Many Requests", {}, "unreachable"),
        (500, {"status": "error", "errorType": "internal", "error": "storage"}, {}, "unreachable"),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, {}, "unreachable"),
        (200, success("matrix", []), {}, "unexpected"),
    ],
)
def test_bad_answers_say_what_kind_they_are(
    server: Server, status: int, answer: t.Any, headers: dict[str, str], reason: str
) -> None:
    server.says(answer, status=status, **headers)
    with pytest.raises(MetricsError) as caught:
        Prometheus(server.url).query("up")
    assert caught.value.details["reason"] == reason
    assert caught.value.msg.startswith(f"Prometheus at {server.url} answered query with ")


def test_an_overloaded_server_is_retried(server: Server) -> None:
    server.answers = [(503, "wait", {}), (200, json.dumps(success("vector", [])), {})]
    assert Prometheus(server.url).query("up") == []
    assert len(server.received) == 2


def test_a_refused_connection_is_unreachable(server: Server) -> None:
    with pytest.raises(MetricsError) as caught:
        Prometheus("http://127.0.0.1:9", timeout=0.5).query("up")
    assert caught.value.details == {"status": None, "reason": "unreachable"}


def test_secrets_stay_out_of_messages(server: Server) -> None:
    server.says("no", status=401)
    with pytest.raises(MetricsError) as caught:
        Prometheus(server.url, token="s3cret-token").query("up")
    assert "s3cret-token" not in str(caught.value.as_result())


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://p", "http://", "http://u:p@host", "http://host/?q=1", "http://[", ""]
)
def test_invalid_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="prometheus_url"):
        Prometheus(url)


def test_without_an_address_there_is_no_client() -> None:
    assert Prometheus.from_params({"prometheus_url": None}) is None


def test_labels_narrow_a_selector_with_their_values_quoted() -> None:
    narrowed = Prometheus.from_params(
        {"prometheus_url": "http://p", "prometheus_labels": {"cluster": 'a"b\\c\n', "shard": 1}}
    )
    assert narrowed is not None
    assert narrowed.selector("up", 'code="200"') == r'up{code="200",cluster="a\"b\\c\n",shard="1"}'
    assert Prometheus("http://p").selector("up") == "up{}"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"a-b": "c"}, "'a-b' is not a label name"),
        ({"": "c"}, "'' is not a label name"),
        ({"a}": "c"}, "'a}' is not a label name"),
        ({"a": ["b", "c"]}, r"a must have one value, as \{a: prod\}, not \['b', 'c'\]"),
        ({"a": None}, "a must have one value"),
        ({"a": True}, "a must have one value"),
    ],
)
def test_invalid_labels_are_refused(labels: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Prometheus("http://p", labels=labels)
