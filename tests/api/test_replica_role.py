# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that the playbook replica_canary takes, seen in check mode on a real API server. No pod starts."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import NEW, OLD, QUICK, stored

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

STEPS = [25, 40, 50]


@pytest.mark.parametrize(
    ("share", "given", "taken"),
    [
        (None, {}, [25, 40, 50]),
        (25, {}, [40, 50]),
        (60, {}, [50]),
        (40, {"replica_canary_from_start": True}, [25, 40, 50]),
        (40, {"replica_canary_from_start": "false"}, [50]),
        (50, {"image": "shop.invalid/reviews:1.17.0"}, [25, 40, 50]),
    ],
)
def test_steps_that_the_canary_has_passed_are_left_out(
    direct: Direct, play: Player, shop: str, share: float | None, given: dict[str, t.Any], taken: list[float]
) -> None:
    if share is not None:
        direct("replicas", image=NEW, share=share, **QUICK)
    options = {"service": "reviews", "ns": shop, "image": NEW, "share": STEPS, **given}
    played = play("meshops.canary.replica_canary", "--check", **options)
    steps = [result["results"] for name, _host, result in played.tasks if name.endswith("Scale the canary")]
    assert [float(one[-1]["__replica_canary_target"]) for one in steps] == taken
    assert [len(one) for one in steps] == [1] + [2] * (len(taken) - 1), "the step before is checked first"


def test_state_absent_takes_no_step(direct: Direct, play: Player, shop: str) -> None:
    direct("replicas", image=NEW, share=25, **QUICK)
    played = play("meshops.canary.replica_canary", "--check", service="reviews", ns=shop, state="absent")
    assert not [name for name, _host, _result in played.tasks if name.endswith("Scale the canary")]
    assert played.changed == 1


FLUX = {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}}
PLAYBOOKS: dict[str, dict[str, t.Any]] = {"rolling_update": {}, "replica_canary": {"share": [25]}}
WRITING = {"rolling_update": "Update the Deployment and wait for its pods", "replica_canary": "Scale the canary"}


@pytest.mark.parametrize(("playbook", "before"), [("rolling_update", OLD), ("replica_canary", "")])
def test_check_mode_of_pods_shows_the_change_and_writes_nothing(
    play: Player, kube: Kube, shop: str, playbook: str, before: str
) -> None:
    is_stored = stored(kube, shop)
    options = {"service": "reviews", "ns": shop, "image": NEW, **PLAYBOOKS[playbook]}
    played = play(f"meshops.canary.{playbook}", "--check", "--diff", **options)
    (found,) = [one for name, _host, one in played.tasks if name.endswith(WRITING[playbook])]
    planned = found["results"][-1] if "results" in found else found
    assert planned["changed"] is True
    assert NEW in planned["diff"]["after"]
    assert before in planned["diff"]["before"]
    assert stored(kube, shop) == is_stored
    assert stored(kube, shop, "reviews-canary") is None


@pytest.mark.parametrize(
    ("playbook", "given", "words"),
    [
        ("rolling_update", {}, "[REVERTED_BY_GITOPS]"),
        *((one, {"service": "revews"}, "revews") for one in PLAYBOOKS),
        *((one, {"ns": "no-such-namespace"}, "no-such-namespace") for one in PLAYBOOKS),
        *((one, {"container": "web"}, "web") for one in PLAYBOOKS),
    ],
)
def test_check_mode_of_pods_gives_the_answer_of_the_real_run(
    play: Player, kube: Kube, shop: str, playbook: str, given: dict[str, t.Any], words: str
) -> None:
    if not given:
        kube.patch("apps/v1", "Deployment", "reviews", shop, FLUX)
    before = stored(kube, shop)
    options = {"service": "reviews", "ns": shop, "image": NEW, **PLAYBOOKS[playbook], **given}
    answers = []
    for mode in (("--check",), ()):
        played = play(f"meshops.canary.{playbook}", *mode, fails=True, **options)
        results = [item for _name, _host, one in played.tasks for item in (one.get("results") or [one])]
        answers.append(next(one["msg"] for one in results if one.get("failed")))
    assert words in answers[0]
    assert answers[0] == answers[1]
    assert stored(kube, shop) == before
    assert stored(kube, shop, "reviews-canary") is None
