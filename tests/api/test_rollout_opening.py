# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout before its first step: what it refuses while nothing is written, and what check mode reports."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import autoscaler, versioned
from support.rollout_role import ADVANCED, OPTIONS, PLANNED, Role, role_variables
from support.rollout_tasks import PLAN
from support.terminal import CTRL_C

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

TESTERS = {"headers": {"end-user": "testuser"}}
GATE = {"weight": 50, "gate": "manual", "gate_seconds": 100}


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "prometheus"}, "source is prometheus, so prometheus_url is required"),
        ({"warm_up": 600}, "Make deadline larger"),
        (
            {"metrics": [{"name": "errors", "kind": "value", "query": "up", "limit": 1}]},
            "has a query, which needs prometheus_url",
        ),
        ({"by": 3}, "by have no effect together with steps"),
        ({"start": 3}, "start have no effect together with steps"),
        ({"container": "app"}, "image and container need route_api=replicas"),
        ({"keep": {"v3": 50}}, "below 50, or leave it out"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_invalid_options_are_refused_before_anything_is_written(
    direct: Direct, routed: str, given: dict[str, t.Any], words: str
) -> None:
    plan = {**PLAN, "steps": [50], "deadline": 30, "pause": 0, **given}
    for check_mode in (True, False):
        refused = direct("rollout", state="opened", check_mode=check_mode, fails=True, **plan)
        assert words in refused["msg"]
    assert direct("rollout", state="present")["run"] is None


@pytest.mark.parametrize("options", [("--check",), ()], ids=["check", "real"])
def test_the_role_passes_these_options_on(role: Role, options: tuple[str, ...]) -> None:
    metrics = [{"name": "errors", "kind": "erors"}]
    refused = role(
        *options, fails=True, analysis=True, metrics=metrics, rollout_source="prometheus", rollout_warm_up=600,
        rollout_by=3, rollout_start=3, rollout_container="app", rollout_keep={"v3": 50}, rollout_approval="terminal",
    )  # fmt: skip
    assert "value of kind must be one of" in refused.task(ADVANCED)["msg"]
    passed = refused.task(ADVANCED)["invocation"]["module_args"]
    assert (passed["metrics"][0]["kind"], passed["source"], passed["warm_up"]) == ("erors", "prometheus", 600)
    assert (passed["by"], passed["start"], passed["container"]) == (3.0, 3.0, "app")
    assert (passed["keep"], passed["approval"]) == ({"v3": 50}, "terminal")
    assert role.direct("rollout", state="present")["run"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": {"version": "v2"}}, "labels needs route_api: replicas"),
        ({"rollout_max_error": 5}, "max_error needs route_api: replicas"),
        ({"steps": [GATE], "rollout_approval": "terminal"}, "Step 1 has a manual gate"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_options_without_effect_are_refused_by_the_role(role: Role, given: dict[str, t.Any], words: str) -> None:
    assert words in role(fails=True, **given).task(ADVANCED)["msg"]
    assert role.direct("rollout", state="present")["run"] is None


@pytest.mark.parametrize(
    ("has", "options", "words"),
    [
        ("nothing", ("--check",), "has 0 Deployments"),
        ("nothing", (), "has 0 Deployments"),
        ("scaled", (), "and an autoscaler"),
        ("other", (), "runs other:1"),
    ],
)
def test_the_baseline_is_validated_before_testers_are_sent_to_the_canary(
    role: Role, has: str, options: tuple[str, ...], words: str
) -> None:
    role.kube.apply(versioned("v1", 1), namespace=role.space)
    if has != "nothing":
        base = versioned("v3", 0)
        if has == "other":
            base["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1"
        role.kube.apply(base, *([autoscaler("reviews-v3", 1)] if has == "scaled" else []), namespace=role.space)
    steps = [{"weight": 0, "cohort": TESTERS, "analysis": False}, 50]
    assert words in role(*options, fails=True, baseline="v3", steps=steps).task(ADVANCED)["msg"]
    assert role.direct("rollout", state="present")["run"] is None


def test_a_gate_at_the_terminal_is_answered_there(role: Role) -> None:
    given = role_variables({"ns": role.space, **OPTIONS, "steps": [GATE], "rollout_approval": "terminal"})
    with role.play.on_a_terminal("meshops.canary.rollout", {"ANSIBLE_STDOUT_CALLBACK": "default"}, **given) as terminal:
        terminal.read_until("Press Ctrl-C, then C to approve", 60)
        terminal.press_until(CTRL_C, "to abort", 30)
        terminal.press_until("C", "Advance the rollout", 30)
        assert terminal.end(60) == 0
    assert role.state() == ("promoted", {"v2": 100})


def test_approval_at_a_terminal_needs_none_where_no_gate_will_ask(role: Role) -> None:
    """No gate is manual; or the version is promoted already; or the rollout is rolled back anyway."""
    role(rollout_approval="terminal")
    assert role.report()["phase"] == "promoted"
    assert not role(steps=[GATE], rollout_approval="terminal").task(ADVANCED)["changed"]
    role.direct("weight", weights={"v1": 100}, preflight=False, wait=False)
    role.leave("ready", "shifted", "abort", steps=[GATE, 100])
    role(fails=True, steps=[GATE], rollout_approval="terminal")
    assert role.state() == ("rolled_back", {"v1": 100})


def test_after_a_promotion_another_run_changes_nothing(role: Role) -> None:
    role()
    for options in (("--check", "--diff"), ()):
        played = role(*options)
        opened = played.task(ADVANCED)
        assert (opened["changed"], opened.get("diff")) == (False, None)
        assert "planned_changes" not in opened
        assert options == () or played.changed == 0


@pytest.mark.parametrize(
    ("events", "planned"),
    [
        ((), ["step 1 (planned): routes v1 80%, v2 20%", "step 2 (planned): routes v1 50%, v2 50%"]),
        (("ready", "shifted"), ["step 2 (planned): routes v1 50%, v2 50%"]),
        (("ready", "shifted", "abort"), []),
    ],
    ids=["opened", "observing", "rolling back"],
)
def test_check_mode_lists_the_steps_that_a_resumed_rollout_has_ahead(
    role: Role, events: tuple[str, ...], planned: list[str]
) -> None:
    role.leave(*events, steps=[20, 50, 100])
    played = role("--check", steps=[20, 50])
    last = ["step 3 (planned): routes v1 0%, v2 100%"] if planned else []
    assert played.task(ADVANCED)["planned_changes"] == [*planned, *last]
    assert played.task(PLANNED)["msg"][-1:] == (last or [played.task(ADVANCED)["plan_text"][-1]])


def test_a_text_can_say_that_pods_are_not_started_ahead(role: Role) -> None:
    """Values of the command line are texts."""
    role.kube.apply(versioned("v1", 1), versioned("v2", 0), namespace=role.space)
    given = {"rollout_capacity": True, "deadline": 2, "steps": [10, 50]}
    for text, pods in (("false", 1), ("true", 2)):
        played = role(fails=True, rollout_pods_ahead=text, **{**given, "steps": [60, {"weight": 100, "replicas": 2}]})
        assert played.task(ADVANCED)["invocation"]["module_args"]["pods_ahead"] == (text == "true")
        found = role.kube.get("apps/v1", "Deployment", "reviews-v2", role.space)
        assert found
        assert found["spec"]["replicas"] >= 1, pods
