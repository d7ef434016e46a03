# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog's program against a fake API server: timeouts, outages and repeated requests.

What it does on a real one is in tests/api/test_watchdog.py.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing as t

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import record
from ansible_collections.meshops.canary.plugins.module_utils.runs import watchdog_program as program

ROUTES = "/routes"
STABLE = '{"destination":{"host":"reviews","subset":"v1"}}'
ENV = {
    "NAMESPACE": "shop", "SERVICE": "reviews", "JOB": "job-1", "AFTER": "60", "RECORD": "record", "LEASE": "lock",
    "BACK_TO": json.dumps({ROUTES: [STABLE]}),
}  # fmt: skip
SETTINGS = program.Settings.of(ENV)
WEIGHTS = {"safe": 0, "a": 10, "b": 50, "edited": 33}
"""State of the routes -> the canary's percent."""
FINAL_RECORD = {"run": {"phase": "rolling_back", "since": 0.0}, "entry": {"event": "error", "reason": "silence"}}


def entries(**weights: int) -> list[dict[str, t.Any]]:
    return [
        {"destination": {"host": "reviews", "subset": subset}, "weight": weight} for subset, weight in weights.items()
    ]


def routes(state: str) -> dict[str, t.Any]:
    rule = {"name": "all", "timeout": "7s", "route": entries(v1=100 - WEIGHTS[state], v2=WEIGHTS[state])}
    spec = {"hosts": ["reviews"], "http": [rule]}
    return {"kind": "VirtualService", "metadata": {"resourceVersion": "1"}, "spec": spec}


def back_from(state: str) -> list[dict[str, t.Any]]:
    """Return the patch back to stable, which applies to this state only."""
    place = "/spec/http/0/route"
    test = {"op": "test", "path": place, "value": routes(state)["spec"]["http"][0]["route"]}
    return [test, {"op": "replace", "path": place, "value": entries(v1=100, v2=0)}]


class Fake(program.Api):
    """A server with three objects. fails: numbers of requests without an answer, from 1. routes: their state."""

    def __init__(self, phase: str = "observing") -> None:
        patch_entry = {
            "object": "VirtualService shop/reviews",
            "path": ROUTES,
            "safe": back_from("safe")[:1],
            "patches": [back_from("a"), back_from("b")],
        }
        instructions = {"job": "job-1", "rollback_patches": [patch_entry], "final_record": FINAL_RECORD, "problem": ""}
        first = record.chained([], {"event": "opened"})
        data = {
            "run": json.dumps({"phase": phase}),
            "events": json.dumps([first]),
            "watchdog": json.dumps(instructions),
        }
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
            raise program.ApiFailure(f"no answer to {method} {path}")
        path, _question, query = path.partition("?")
        if method == "GET":
            if path == ROUTES:
                return 200, routes(self.routes)
            return 200, self.record if path == SETTINGS.record else self.lease
        if method == "POST":
            self.events.append(body["message"])
            return 201, {}
        if path == ROUTES:
            return self._route(body, dry_run="dryRun" in query)
        return self._patched(self.record if path == SETTINGS.record else self.lease, body)

    def _route(self, patch: list[dict[str, t.Any]], *, dry_run: bool) -> tuple[int, dict[str, t.Any]]:
        try:
            after = jsonpatch.apply_patch(routes(self.routes), patch)
        except jsonpatch.JsonPatchTestFailed:
            return 422, {}
        if not dry_run:
            self.routes = next(state for state in WEIGHTS if routes(state) == after)
        return 200, after

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
    """Return the reason of the end, the seconds it took, and the log lines."""
    now = [0.0]
    said: list[str] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        assert now[0] < 5000, f"it watches for ever: {said[-3:]}"
        on_sleep(now[0])

    watchdog = program.Watchdog(api, SETTINGS, clock=lambda: now[0], sleep=sleep, say=said.append)
    return watchdog.watch(), now[0], said


def test_after_the_timeout_the_routes_are_rolled_back_and_recorded() -> None:
    api = Fake()
    done, seconds, _said = watch(api)
    assert done == "no sign of life from ada: the routes are rolled back, the next run cleans up"
    assert 60 <= seconds <= 65
    assert api.routes == "safe"
    assert json.loads(api.record["data"]["run"]) == {"phase": "rolling_back", "since": api.now}
    entries = json.loads(api.record["data"]["events"])
    assert record.first_tampered(entries) is None
    assert (entries[-1]["by"], entries[-1]["at"]) == ("watchdog/job-1", "2027-01-15T08:00:00Z")
    assert api.lease["spec"]["holderIdentity"] == ""
    assert api.events == [done]


def test_a_holder_that_renews_just_before_keeps_the_lock() -> None:
    api = Fake()
    api.taken_first = True
    done, seconds, said = watch(api)
    assert "the lock was renewed at the last moment" in said
    assert 120 <= seconds <= 135, "the silence begins anew"
    assert "the routes are rolled back" in done


def test_a_write_of_the_record_is_a_sign_of_life() -> None:
    api = Fake()

    def write(now: float) -> None:
        if now < 300:
            api.record["metadata"]["resourceVersion"] += "!"

    assert watch(api, write)[1] >= 355


def test_after_an_outage_the_timeout_starts_again() -> None:
    """During an outage of the API server the holder cannot renew either."""
    api = Fake()
    api.fails = set(range(9, 40))
    done, seconds, said = watch(api)
    assert seconds >= 31 * 5 + 60
    assert len([one for one in said if one.endswith("trying again")]) == 31
    assert "the routes are rolled back" in done


@pytest.mark.parametrize("phase", ["observing", "preparing"])
@pytest.mark.parametrize("lost", range(1, 13))
def test_a_lost_request_is_repeated_until_the_rollback_is_complete(lost: int, phase: str) -> None:
    """Requests after the timeout: reads, the lock, dry runs, the patch, the record, the Event, the release."""
    quiet = Fake()
    watch(quiet)
    first = quiet.number - 10
    api = Fake(phase)
    api.fails = {first + lost - 1}
    done, _seconds, _said = watch(api)
    assert "the routes are rolled back" in done
    assert api.routes == "safe"
    assert json.loads(api.record["data"]["run"])["phase"] == "rolling_back"
    entries = json.loads(api.record["data"]["events"])
    assert [one["event"] for one in entries] == ["opened", "error"], "it is written once"


def test_routes_that_changed_externally_stay_unchanged() -> None:
    api = Fake()
    api.routes = "edited"
    before = json.dumps(api.record)
    done, _seconds, _said = watch(api)
    assert "nothing was changed: VirtualService shop/reviews was changed externally" in done
    assert (api.routes, json.dumps(api.record)) == ("edited", before)
    assert api.lease["spec"]["holderIdentity"] == ""


def forged(**change: t.Any) -> Fake:
    """Return a server whose record somebody has changed: its patch, or its path."""
    api = Fake()
    instructions = json.loads(api.record["data"]["watchdog"])
    instructions["rollback_patches"][0].update(change)
    api.record["data"]["watchdog"] = json.dumps(instructions)
    return api


PLACE = "/spec/http/0"
ATTACKS: dict[str, list[dict[str, t.Any]]] = {
    "gives more requests to": [{"op": "replace", "path": f"{PLACE}/route", "value": entries(v1=10, v2=90)}],
    'gives more requests to {"destination":{"host":"reviews","subset":"v3"}}': [
        {"op": "replace", "path": f"{PLACE}/route", "value": entries(v3=100)}
    ],
    'gives more requests to {"destination":{"host":"evil","subset":"v1"}}': [
        {"op": "replace", "path": f"{PLACE}/route/0/destination/host", "value": "evil"}
    ],
    "adds, removes or changes a rule": [{"op": "add", "path": PLACE, "value": {"redirect": {"uri": "/evil"}}}],
    "adds, removes or changes a rule ": [{"op": "add", "path": f"{PLACE}/mirror", "value": {"host": "evil"}}],
    "adds, removes or changes a rule  ": [{"op": "remove", "path": f"{PLACE}/timeout"}],
    "changes more than the routes": [{"op": "add", "path": "/spec/exportTo", "value": ["."]}],
    "changes more than the routes ": [{"op": "add", "path": "/metadata/labels", "value": {"team": "evil"}}],
}


@pytest.mark.parametrize("words", ATTACKS)
def test_a_patch_that_does_more_than_a_rollback_is_refused(words: str) -> None:
    api = forged(patches=[ATTACKS[words]])
    done, _seconds, _said = watch(api)
    assert f"nothing was changed: the patch in the record {words.strip()}" in done
    assert api.routes == "a"


def test_an_object_that_the_job_was_not_made_for_is_not_patched() -> None:
    api = forged(path="/apis/networking.istio.io/v1/namespaces/shop/virtualservices/other")
    assert "which this Job was not made for" in watch(api)[0]
    assert api.routes == "a"


HOST = "reviews"
ROLLBACKS: dict[str, tuple[dict[str, t.Any], dict[str, t.Any]]] = {
    "stable is added": (
        {"http": [{"route": entries(v2=100)}]},
        {"http": [{"route": entries(v1=100, v2=0)}]},
    ),
    "one destination without weight": (
        {"http": [{"route": [{"destination": {"host": HOST, "subset": "v2"}}]}]},
        {"http": [{"route": [{"destination": {"host": HOST, "subset": "v1"}}]}]},
    ),
    "a cohort ends": (
        {"http": [{"match": [{"uri": {"exact": "/"}}], "route": entries(v2=100)}, {"route": entries(v1=90, v2=10)}]},
        {"http": [{"route": entries(v1=100, v2=0)}]},
    ),
    "two protocols": (
        {"tls": [{"route": entries(v1=1, v2=99)}], "tcp": [{"route": entries(v1=50, v2=50)}]},
        {"tls": [{"route": entries(v1=100)}], "tcp": [{"route": entries(v1=100)}]},
    ),
}


@pytest.mark.parametrize("name", ROLLBACKS)
def test_what_a_rollback_does_is_allowed(name: str) -> None:
    before, after = ({"metadata": {}, "spec": spec} for spec in ROLLBACKS[name])
    assert program.beyond_rollback(before, after, [STABLE]) == ""
    assert program.beyond_rollback(before, after, []) != "", "not without the Job's permission"
    assert program.beyond_rollback(after, before, [STABLE]) != "", "and not the way forward"
    assert program.gaining(before, after) == [STABLE]


def test_the_weights_of_the_gateway_api_are_relative() -> None:
    def route(*weights: int) -> dict[str, t.Any]:
        backends = [
            {"name": f"web-v{number}", "port": 80, "weight": weight} for number, weight in enumerate(weights, 1)
        ]
        return {"metadata": {}, "spec": {"rules": [{"backendRefs": backends}]}, "status": {"parents": list(weights)}}

    stable = '{"name":"web-v1","port":80}'
    assert program.gaining(route(9, 1), route(1, 0)) == [stable]
    assert program.beyond_rollback(route(9, 1), route(1, 0), [stable]) == ""
    assert "web-v2" in program.beyond_rollback(route(9, 1), route(1, 1), [stable])


def test_a_rule_of_stable_stays() -> None:
    before = {"metadata": {}, "spec": {"http": [{"name": "x", "route": entries(v1=100)}, {"route": entries(v2=100)}]}}
    after = {"metadata": {}, "spec": {"http": [{"route": entries(v2=100)}]}}
    assert program.beyond_rollback(before, after, [STABLE]) == "adds, removes or changes a rule"


def test_without_rollback_patches_nothing_is_changed() -> None:
    api = Fake()
    api.record["data"]["watchdog"] = json.dumps(
        {"job": "job-1", "rollback_patches": [], "final_record": None, "problem": "two objects"}
    )
    assert watch(api)[0] == "no sign of life from ada, but nothing was changed: two objects"


@pytest.mark.parametrize("phase", ["promoted", "rolled_back", "stopped"])
def test_the_program_ends_with_the_rollout(phase: str) -> None:
    assert watch(Fake(phase)) == (over := f"the rollout has ended: {phase}", 0.0, [over])


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    """Run it as the Job does, without installed packages; without a cluster it names the missing variable."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-u", "-c", inspect.getsource(program)],
        capture_output=True,
        text=True,
        env=ENV,
        check=False,
    )
    assert "KeyError: 'KUBERNETES_SERVICE_HOST'" in done.stderr


def test_no_answer_of_the_api_server_raises_api_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> None:
    monkeypatch.setattr(program, "ACCOUNT", tmp_path)
    api = program.Api({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"})
    with pytest.raises(program.ApiFailure, match="GET /x: FileNotFoundError"):
        api.get("/x")
