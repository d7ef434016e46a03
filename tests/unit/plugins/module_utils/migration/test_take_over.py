# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex
import typing as t

import jsonpatch
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter.translation_lines import take_over_commands, translation_lines
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests
from support.foreign_manifests import argo, flagger

Json = dict[str, t.Any]
HEALTHY = {"phase": "Healthy", "stableRS": "abc", "currentPodHash": "abc", "observedGeneration": "3"}
STEPS = [{"setWeight": 20}, {"pause": {"duration": 5}}]


def rollout(steps: list[Json] | None = None, status: Json | None = None, **metadata: t.Any) -> Json:
    found = argo(steps or STEPS, canaryService="checkout-canary")
    found["metadata"] |= {"generation": 3, "resourceVersion": "77", **metadata}
    return {**found, "status": HEALTHY if status is None else status}


def canary(phase: str = "Succeeded", **status: t.Any) -> Json:
    found = flagger({"name": "request-success-rate", "thresholdRange": {"min": 99}})
    found["metadata"]["resourceVersion"] = "77"
    return {**found, "status": {"phase": phase, **status}}


def take_over(given: Json) -> Json:
    translate = manifests.argo if given["kind"] == "Rollout" else manifests.flagger
    return dict(translate(given, (), "v1", "v2")["take_over"])


def merged(value: t.Any, patch: t.Any) -> t.Any:
    """Return a value after a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), item)
    return found


@pytest.mark.parametrize("steps", [STEPS, [{"setCanaryScale": {"replicas": 2}}, *STEPS]])
def test_a_rollout_lets_go_of_routes_and_services_and_the_undo_restores_it(steps: list[Json]) -> None:
    before = rollout(steps)
    found = take_over(before)
    after = jsonpatch.apply_patch(before, found["patch"])
    left = after["spec"]["strategy"]["canary"]
    assert after["spec"]["paused"] is True
    assert set(left) == ({"steps"} if steps == STEPS else set())
    assert found["refused"] == []
    assert merged(after, found["undo"]) == before
    assert found["patch"][0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "77"}


def test_a_canary_is_suspended_and_the_undo_restores_it() -> None:
    before = canary()
    found = take_over(before)
    after = jsonpatch.apply_patch(before, found["patch"])
    assert after["spec"]["suspend"] is True
    assert merged(after, found["undo"]) == before
    assert found["wait_seconds"] == 30


def test_what_was_done_is_not_done_again() -> None:
    done = canary("Progressing")
    done["spec"]["suspend"] = True
    assert take_over(done)["patch"] == []
    released = rollout(status={"phase": "Paused"})
    released["spec"] |= {"paused": True, "strategy": {"canary": {"steps": STEPS}}}
    assert take_over(released)["patch"] == []
    assert take_over(released)["refused"] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (rollout(status={}), "its phase is unknown"),
        (rollout(status={**HEALTHY, "phase": "Progressing"}), "its phase is Progressing"),
        (rollout(status={**HEALTHY, "currentPodHash": "def"}), "stable ReplicaSet is abc and its current one def"),
        (rollout(status={**HEALTHY, "abort": True}), "aborted"),
        (rollout(status={**HEALTHY, "pauseConditions": [{"reason": "CanaryPauseStep"}]}), "waits at a pause"),
        (rollout(generation=4), "has not seen its last change"),
        (canary("Progressing"), "its phase is Progressing"),
        (canary("Failed"), "its phase is Failed"),
        (canary(canaryWeight=5), "5 % of the requests"),
        ({**canary(), "status": {}}, "its phase is unknown"),
    ],
)
def test_an_update_under_way_is_not_taken_over(given: Json, words: str) -> None:
    assert any(words in reason for reason in take_over(given)["refused"])


def test_a_blue_green_rollout_is_not_taken_over() -> None:
    given = rollout()
    given["spec"]["strategy"] = {"blueGreen": {"activeService": "checkout"}}
    assert any("blue-green" in reason for reason in take_over(given)["refused"])


def test_who_applies_it_from_git_is_a_warning() -> None:
    (warning,) = take_over(rollout(annotations={"argocd.argoproj.io/tracking-id": "x"}))["warnings"]
    assert "Argo CD applies Rollout checkout from Git" in warning
    (warning,) = take_over(
        {**canary(), "metadata": {**canary()["metadata"], "labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}}
    )["warnings"]
    assert "Flux applies Canary checkout" in warning


@pytest.mark.parametrize(("given", "translate"), [(rollout(), manifests.argo), (canary(), manifests.flagger)])
def test_the_commands_that_are_left_name_the_final_one(given: Json, translate: t.Callable[..., Json]) -> None:
    commands = take_over_commands(translate(given, (), "v1", "v2"))
    final = [one for one in commands if "cannot be undone" in one]
    assert len(final) == 1
    assert f"delete {given['kind'].lower()} checkout" in final[0]
    assert commands[-1].endswith("meshops.canary.rollout -e @checkout-rollout.yml")
    routing = next(one for one in commands if "meshops.canary.routing" in one).partition(": ")[2]
    assert shlex.split(routing)[3::2] == ["service=checkout", "ns=shop", "versions=v1,v2", "stable=v1"]


def test_the_lines_have_everything_that_has_to_be_known() -> None:
    steps = [*STEPS, {"setMirrorRoute": {"name": "m\x1b[2J", "percentage": 5}}, {"pause": {}}]
    text = "\n".join(translation_lines(manifests.argo(rollout(steps))))
    assert "step 1: 20 %, for 5 s, not judged, then a manual gate" in text
    assert "to set: stable. " in text
    assert "no counterpart: Rollout checkout: spec.strategy.canary.steps[2].setMirrorRoute. " in text
    assert "differs: " in text
    assert "It is not ready" in text
    assert "\x1b" not in text


def test_the_filters_refuse_something_else() -> None:
    with pytest.raises(AnsibleFilterError, match="translation_lines requires"):
        translation_lines({"variables": {}})
