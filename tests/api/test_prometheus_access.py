# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Prometheus that requires a token and a tenant: every playbook sends both, and shows no secret."""

from __future__ import annotations

import http.server
import json
import typing as t

import pytest
from support.answering import Answers, served
from support.rollout_role import OPTIONS, role_variables

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.play import Player

TOKEN, KEY = "s3cret-token", "s3cret-key"
HEADERS = {"X-Scope-OrgID": "tenant-a", "X-Api-Key": KEY}
JUDGED = {"analysis": True, "deadline": 3, "pause": 1}
PAST = {"stable": "v1", "canary": "v2", "begin": "2026-11-22T12:00:00Z", "end": "2026-11-22T12:01:00Z"}


class Guarded(http.server.ThreadingHTTPServer):
    """A Prometheus without series. requests: the headers of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Empty)
        self.requests: list[dict[str, str]] = []


class Empty(Answers):
    server: Guarded

    def do_GET(self) -> None:
        self.server.requests.append({name.lower(): value for name, value in self.headers.items()})
        kind = "matrix" if "query_range" in self.path else "vector"
        self.answer(json.dumps({"status": "success", "data": {"resultType": kind, "result": []}}).encode())


@pytest.fixture
def server() -> Iterator[Guarded]:
    made = Guarded()
    with served(made):
        yield made


# The module canary_analysis is that of a backtest too, so the rollout is run in one way.
@pytest.mark.parametrize(
    ("playbook", "fails", "given", "in_process"),
    [
        ("rollout", True, {**OPTIONS, **JUDGED}, "true"),
        ("status", False, {}, "true"),
        ("status", False, {}, "false"),
        ("backtest", False, PAST, "true"),
        ("backtest", False, PAST, "false"),
    ],
)
def test_prometheus_credentials_are_sent_and_not_shown(
    play: Player,
    server: Guarded,
    routed: str,
    tmp_path: Path,
    playbook: str,
    fails: bool,
    given: dict[str, t.Any],
    in_process: str,
) -> None:
    log = tmp_path / "ansible.log"
    environment = {"ANSIBLE_LOG_PATH": str(log), "ANSIBLE_VERBOSITY": "3", "CANARY_IN_PROCESS": in_process}
    options = {"prometheus_url": f"http://127.0.0.1:{server.server_address[1]}", "prometheus_token": TOKEN}
    names = {"service": "reviews", "ns": routed, **options, "prometheus_headers": HEADERS}
    options = {**given, **names}
    options = role_variables(options) if playbook == "rollout" else options
    played = play(f"meshops.canary.{playbook}", fails=fails, environment=environment, **options)
    assert server.requests
    for headers in server.requests:
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert (headers["x-scope-orgid"], headers["x-api-key"]) == ("tenant-a", KEY)
    shown = log.read_text(encoding="utf-8") + played.output + json.dumps(played.tasks)
    assert "tenant-a" in shown, "the options are shown at all"
    assert "s3cret" not in shown
