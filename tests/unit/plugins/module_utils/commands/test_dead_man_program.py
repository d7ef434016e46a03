# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man's program where an API server cannot be made to fail: silence, blindness, and doing things again.

What it does on a real one is in tests/api/test_dead_man.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import dead_man_program as program
from ansible_collections.meshops.canary.plugins.module_utils.rollout import record

ENV = {
    "NAMESPACE": "shop", "SERVICE": "reviews", "JOB": "job-1", "AFTER": "60", "RECORD": "record", "LEASE": "lock",
}  # fmt: skip
SETTINGS = program.Settings.of(ENV)
ROUTES = "/routes"
WORDS = {"run": {"phase": "rolling_back", "since": 0.0}, "entry": {"event": "error", "reason": "silence"}}


class Fake(program.Api):
    """An API server of three objects. fails: request numbers, from 1, that get no answer. routes: which patch fits."""

    def __init__(self, phase: str = "observing") -> None:
        way = {"object": "VirtualService shop/reviews", "path": ROUTES, "safe": ["safe"], "patches": [["a"], ["b"]]}
        told = {"job": "job-1", "ways": [way], "words": WORDS, "trouble": ""}
        first = record.chained([], {"event": "opened"})
        data = {"run": json.dumps({"phase": phase}), "events": json.dumps([first]), "dead_man": json.dumps(told)}
        self.now = 1_800_000_000.0
        self.record: dict[str, t.Any] = {"metadata": {"resourceVersion": "1"}, "data": data}
        spec = {"holderIdentity": "ada", "leaseDurationSeconds": 30}
        self.lease: dict[str, t.Any] = {"metadata": {"resourceVersion": "1"}, "spec": spec}
        self.routes = "a"
        self.fails: set[int] = set()
        self.number = 0
        self.events: list[str] = []
        self.taken_first = False

    def send(
        self, method: str, path: str, body: t.Any = None, kind: str = "application/json"
    ) -> tuple[int, dict[str, t.Any]]:
        self.number += 1
        if self.number in self.fails:
            raise program.Trouble(f"no answer to {method} {path}")
        path, _question, query = path.partition("?")
        if method == "GET":
            return 200, self.record if path == SETTINGS.record else self.lease
        if method == "POST":
            self.events.append(body["message"])
            return 201, {}
        if path == ROUTES:
            return self._route(body, dry_run="dryRun" in query)
        return self._patched(self.record if path == SETTINGS.record else self.lease, body)

    def _route(self, patch: list[str], *, dry_run: bool) -> tuple[int, dict[str, t.Any]]:
        if patch != [self.routes]:
            return 422, {}
        self.routes = self.routes if dry_run else "safe"
        return 200, {}

    def _patched(self, obj: dict[str, t.Any], patch: list[dict[str, t.Any]]) -> tuple[int, dict[str, t.Any]]:
        if obj is self.lease and self.taken_first:
            self.taken_first = False
            self.renew()
        for one in patch:
            *parents, last = one["path"].split("/")[1:]
            place = obj
            for name in parents:
                place = place.setdefault(name, {})
            if one["op"] == "test" and place.get(last) != one["value"]:
                return 422, {}
            place[last] = one["value"]
        obj["metadata"]["resourceVersion"] += "'"
        return 200, {}

    def renew(self) -> None:
        self.lease["metadata"]["resourceVersion"] += "!"


def watch(api: Fake, on_sleep: t.Callable[[float], None] = lambda _now: None) -> tuple[str, float, list[str]]:
    """Return what the program says at its end, the seconds it took, and what it said meanwhile."""
    now = [0.0]
    said: list[str] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        assert now[0] < 5000, f"it watches for ever: {said[-3:]}"
        on_sleep(now[0])

    man = program.DeadMan(api, SETTINGS, clock=lambda: now[0], sleep=sleep, say=said.append)
    return man.watch(), now[0], said


def test_after_the_silence_the_requests_go_back_and_the_trail_goes_on() -> None:
    api = Fake()
    done, seconds, _said = watch(api)
    assert done == "ada was not heard of: the requests are back, the next run cleans up"
    assert 60 <= seconds <= 65
    assert api.routes == "safe"
    assert json.loads(api.record["data"]["run"]) == {"phase": "rolling_back", "since": api.now}
    trail = json.loads(api.record["data"]["events"])
    assert record.first_altered(trail) is None
    assert (trail[-1]["by"], trail[-1]["at"]) == ("dead-man/job-1", "2027-01-15T08:00:00Z")
    assert api.lease["spec"]["holderIdentity"] == ""
    assert api.events == [done]


def test_a_holder_who_renews_just_before_keeps_the_lock() -> None:
    api = Fake()
    api.taken_first = True
    done, seconds, said = watch(api)
    assert "the lock was renewed at the last moment" in said
    assert 120 <= seconds <= 135, "the silence begins anew"
    assert "the requests are back" in done


def test_a_write_of_the_record_is_a_sign_of_life_too() -> None:
    api = Fake()

    def write(now: float) -> None:
        if now < 300:
            api.record["metadata"]["resourceVersion"] += "!"

    assert watch(api, write)[1] >= 355


def test_who_could_not_look_has_not_heard_silence() -> None:
    """An outage of the API server silences the holder as well, so afterwards it gets its whole time again."""
    api = Fake()
    api.fails = set(range(9, 40))
    done, seconds, said = watch(api)
    assert seconds >= 31 * 5 + 60
    assert len([one for one in said if one.endswith("trying again")]) == 31
    assert "the requests are back" in done


@pytest.mark.parametrize("phase", ["observing", "preparing"])
@pytest.mark.parametrize("lost", range(1, 12))
def test_whatever_request_is_lost_is_sent_again_until_all_is_done(lost: int, phase: str) -> None:
    """Requests after the silence: the look, the lock, dry runs, the patch, the record, the Event, giving back."""
    quiet = Fake()
    watch(quiet)
    first = quiet.number - 8
    api = Fake(phase)
    api.fails = {first + lost - 1}
    done, _seconds, _said = watch(api)
    assert "the requests are back" in done
    assert api.routes == "safe"
    assert json.loads(api.record["data"]["run"])["phase"] == "rolling_back"
    trail = json.loads(api.record["data"]["events"])
    assert [one["event"] for one in trail] == ["opened", "error"], "it is written once"


def test_routes_that_nobody_knows_are_left() -> None:
    api = Fake()
    api.routes = "edited"
    before = json.dumps(api.record)
    done, _seconds, _said = watch(api)
    assert "nothing was changed: VirtualService shop/reviews is not as the rollout wrote it" in done
    assert (api.routes, json.dumps(api.record)) == ("edited", before)
    assert api.lease["spec"]["holderIdentity"] == ""


def test_what_cannot_be_told_beforehand_is_not_tried() -> None:
    api = Fake()
    api.record["data"]["dead_man"] = json.dumps({"job": "job-1", "ways": [], "words": None, "trouble": "two objects"})
    assert watch(api)[0] == "ada was not heard of, and nothing was changed: two objects"


@pytest.mark.parametrize("phase", ["promoted", "rolled_back", "stopped"])
def test_it_ends_with_the_rollout(phase: str) -> None:
    assert watch(Fake(phase)) == (over := f"the rollout is over: {phase}", 0.0, [over])


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    """Run as the Job does, isolated from everything that is installed; without a cluster it says what is missing."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program.__file__)], capture_output=True, text=True, env=ENV, check=False
    )
    assert "KeyError: 'KUBERNETES_SERVICE_HOST'" in done.stderr


def test_the_api_server_that_does_not_answer_is_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> None:
    monkeypatch.setattr(program, "ACCOUNT", tmp_path)
    api = program.Api({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"})
    with pytest.raises(program.Trouble, match="GET /x: FileNotFoundError"):
        api.get("/x")
