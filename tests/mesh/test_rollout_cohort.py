# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort in a rollout: its requests go to the canary alone, and none is lost, also after a kill."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.rollouts import LOAD, Stage, report, with_errors

from .conftest import measure

if t.TYPE_CHECKING:
    from lab.traffic import Measurement

pytestmark = pytest.mark.mesh

USER = "testuser"
TESTERS = {"headers": {"end-user": USER}}
FIRST = {"weight": 0, "cohort": TESTERS, "pause": 3}
PATIENT = {"deadline": 120}
LONG = dataclasses.replace(LOAD, seconds=600, limit=600, rate=120)
THEIRS = dataclasses.replace(LONG, rate=40, connections=2, user=USER)


def test_the_cohort_comes_first_and_a_kill_changes_nothing(stage: Stage) -> None:
    steps = [{**FIRST, "pause": 8}, 50]
    place = stage.shop.sidecar
    before = stage.route()
    with place.background(LONG) as everybody, place.background(THEIRS) as testers:
        begun = stage.begin("v3", steps=steps, **PATIENT)
        stage.wait_for(begun, "observing", 0)
        assert measure(place, 300, USER).counts == {"v3": 300}
        assert measure(place, 300).counts == {"v2": 300}
        begun.kill()
        ended = report(stage.rollout("v3", steps=steps, **PATIENT))
        everybody.stop()
        testers.stop()
        seen: list[Measurement] = [everybody.result(), testers.result()]
    assert ended["phase"] == "promoted", ended["reason"]
    assert [one.failed for one in seen] == [0, 0], [one.reasons for one in seen]
    assert measure(place, 300, USER).counts == measure(place, 300).counts == {"v3": 300}
    after = stage.route()
    assert before
    assert after
    assert len(after["spec"]["http"]) == len(before["spec"]["http"]), "no route of the cohort is left"


def test_a_canary_that_fails_its_cohort_is_rolled_back(stage: Stage) -> None:
    place, failing = stage.shop.sidecar, with_errors(THEIRS, v3=0.5)
    with place.background(LONG) as everybody, place.background(failing) as testers:
        ended = report(stage.rollout("v3", fails=True, steps=[FIRST, 50]))
        everybody.stop()
        testers.stop()
        public, theirs = everybody.result(), testers.result()
    assert ended["phase"] == "rolled_back"
    assert public.failed == 0, public.reasons
    assert 0 < theirs.failed < theirs.requests / 2, "the failures end with the rollback"
    assert measure(place, 300, USER).counts == measure(place, 300).counts == {"v2": 300}
