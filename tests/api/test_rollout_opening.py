# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout before its first step: what it refuses while nothing is written, and what check mode tells."""

from __future__ import annotations

import typing as t

import pytest
from support.blind import BLIND, Role
from support.terminal import CTRL_C
from support.unplaced import autoscaler, versioned

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

OPENS = "meshops.canary.rollout : Take the lock, and make or find the record"
PLANNED = "meshops.canary.rollout : Show what would be changed, by the load of now"
HOLDER = "ada@ops1/1"
TESTERS = {"headers": {"end-user": "testuser"}}
GATE = {"weight": 50, "gate": "manual", "gate_seconds": 100}


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"metrics": [{"name": "errors", "kind": "erors"}]}, "value of kind must be one of"),
        ({"rollout_source": "prometheus"}, "source is prometheus but all of the following are missing: prometheus_url"),
        ({"rollout_warm_up": 600}, "make deadline larger"),
        ({"rollout_by": 3}, "by would have no effect beside steps"),
        ({"rollout_start": 3}, "start would have no effect beside steps"),
        ({"labels": {"version": "v2"}}, "rollout_labels and rollout_max_error are for rollout_route_api: replicas"),
        ({"rollout_max_error": 5}, "Leave rollout_max_error out"),
        ({"rollout_container": "app"}, "image and container are for route_api=replicas"),
        ({"rollout_keep": {"v3": 50}}, "below 50, or leave it out"),
        ({"steps": [GATE], "rollout_approval": "terminal"}, "Step 1 has a manual gate"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_cannot_work_is_refused_while_nothing_is_written(role: Role, given: dict[str, t.Any], words: str) -> None:
    for options in (("--check",), ()):
        played = role(*options, fails=True, **{"analysis": True, **given})
        assert words in played.last["msg"]
    told = role.direct("rollout", state="present")
    assert told["run"] is None
    assert role.weights() == {"v1": 100}


@pytest.mark.parametrize(
    ("has", "words"), [("nothing", "has 0 Deployments"), ("scaled", "and an autoscaler"), ("other", "runs other:1")]
)
def test_a_baseline_is_looked_at_before_testers_are_sent_to_the_canary(role: Role, has: str, words: str) -> None:
    role.kube.apply(versioned("v1", 1), namespace=role.space)
    if has != "nothing":
        base = versioned("v3", 0)
        if has == "other":
            base["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1"
        role.kube.apply(base, *([autoscaler("reviews-v3", 1)] if has == "scaled" else []), namespace=role.space)
    steps = [{"weight": 0, "cohort": TESTERS, "analysis": False}, 50]
    for options in (("--check",), ()):
        played = role(*options, fails=True, baseline="v3", steps=steps)
        assert words in played.last["msg"]
    assert role.direct("rollout", state="present")["run"] is None


def test_a_gate_at_the_terminal_is_answered_there(role: Role) -> None:
    given = {"ns": role.space, **BLIND, "steps": [GATE], "rollout_approval": "terminal"}
    with role.play.on_a_terminal("meshops.canary.rollout", {"ANSIBLE_STDOUT_CALLBACK": "default"}, **given) as terminal:
        terminal.read_until("To go on press Ctrl-C", 60)
        terminal.press_until(CTRL_C, "to abort", 30)
        terminal.press_until("C", "Record what was decided at the gate", 30)
        assert terminal.end(60) == 0
    assert (role.told()["phase"], role.weights()) == ("promoted", {"v2": 100})


def test_without_a_terminal_what_asks_nobody_goes_on(role: Role) -> None:
    """No gate is manual; or there is one, and the rollout goes back anyway."""
    role(rollout_approval="terminal")
    assert role.told()["phase"] == "promoted"
    assert not role(steps=[GATE], rollout_approval="terminal").task(OPENS)["changed"]
    role.direct("weight", weights={"v1": 100}, preflight=False, wait=False)
    left(role, [GATE, 100], "ready", "shifted", "abort")
    role(fails=True, steps=[GATE], rollout_approval="terminal")
    assert (role.told()["phase"], role.weights()) == ("rolled_back", {"v1": 100})


def left(role: Role, steps: list[t.Any], *events: str) -> None:
    """Begin a rollout, as the role would, that is left behind after these events."""
    plan = {"stable": "v1", "canary": "v2", "steps": steps, "deadline": 30, "pause": 0, "analysis": False}
    last = role.direct("rollout", state="opened", holder=HOLDER, **plan)
    for event in events:
        last = role.direct("rollout", state="recorded", event=event, holder=HOLDER)
        role.direct("weight", weights=last["run"]["weights_wanted"], preflight=False, wait=False)
    role.direct("rollout", state="closed", holder=HOLDER)


def test_check_mode_says_that_nothing_is_to_be_done_where_nothing_is(role: Role) -> None:
    role()
    for options in (("--check", "--diff"), ()):
        played = role(*options)
        opened = played.task(OPENS)
        assert (opened["changed"], opened.get("diff")) == (False, None)
        assert PLANNED not in [name for name, _host, _result in played.tasks]
    assert role("--check").changed == 0


@pytest.mark.parametrize(
    ("events", "planned"),
    [
        ((), ["step 1 (planned): routes v1 80%, v2 20%", "step 2 (planned): routes v1 50%, v2 50%"]),
        (("ready", "shifted"), ["step 2 (planned): routes v1 50%, v2 50%"]),
        (("ready", "shifted", "abort"), []),
    ],
    ids=["begun", "observing", "going back"],
)
def test_check_mode_lists_what_a_rollout_that_goes_on_has_ahead(
    role: Role, events: tuple[str, ...], planned: list[str]
) -> None:
    left(role, [20, 50, 100], *events)
    played = role("--check", steps=[20, 50])
    last = ["step 3 (planned): routes v1 0%, v2 100%"] if planned else []
    assert played.task(PLANNED)["msg"] == [*planned, *last]


def test_pods_are_not_started_ahead_where_a_text_says_so(role: Role) -> None:
    """Values of the command line are texts."""
    role.kube.apply(versioned("v1", 1), versioned("v2", 0), namespace=role.space)
    given = {"rollout_capacity": True, "deadline": 2, "steps": [10, 50]}
    for said, ahead in (("true", 100), ("false", None)):
        played = role(fails=True, rollout_pods_ahead=said, **given)
        gives = next(
            one
            for name, _host, one in played.tasks
            if name.startswith("meshops.canary.rollout : Give the canary the pods")
        )
        assert gives["invocation"]["module_args"]["next_share"] == ahead
