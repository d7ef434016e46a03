# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release of two services, the one a caller of the other, under load: both are new at the end, or both are back."""

from __future__ import annotations

import typing as t

import pytest
from support.release_shop import NAME, NEW, OLD, QUICK, services, weights, with_ratings
from support.rollouts import BROKEN_BY, LOAD, Stage, with_errors

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.play import Played

pytestmark = pytest.mark.mesh


@pytest.fixture
def both(stage: Stage) -> Iterator[Stage]:
    """All requests on reviews v2 and ratings v1, and a ratings v2 that nobody uses yet."""
    with with_ratings(stage):
        yield stage


def data(stage: Stage) -> dict[str, t.Any]:
    listed = services(stage.shop.namespace)
    release = {"name": NAME, "services": listed, "steps": [25, 50, 100], "defaults": QUICK}
    return {"canary_release": release, "canary_hosts": "localhost", "release_report_dir": ""}


def play(stage: Stage, *, fails: bool = False) -> Played:
    return stage.shop.player("meshops.canary.release", fails=fails, **data(stage))


def test_two_services_are_released_without_a_lost_request(both: Stage) -> None:
    assert weights(both) == OLD
    with both.shop.sidecar.background(LOAD) as load:
        played = play(both)
        load.stop()
        seen = load.result()
    assert weights(both) == NEW
    assert seen.failed == 0, seen.reasons
    assert {"v2", "v3"} <= set(seen.counts), "both versions of reviews answered, in the order of the steps"
    lines = [line for _name, _host, result in played.tasks for line in result.get("lines", ())]
    assert any("ratings" in line for line in lines)
    assert any("reviews" in line for line in lines)
    again = play(both)
    assert again.changed == 0, [(name, result) for name, _host, result in again.tasks if result.get("changed")]


def test_a_bad_service_takes_the_other_one_back_too(both: Stage) -> None:
    with both.shop.sidecar.background(with_errors(LOAD, v3=0.5)) as load:
        played = play(both, fails=True)
        load.stop()
        seen = load.result()
    assert weights(both) == OLD
    assert seen.failed > 0
    assert all(one.startswith(BROKEN_BY) for one in seen.reasons), f"only the bad version fails: {seen.reasons}"
    assert "reviews" in str([result.get("msg") for _name, _host, result in played.tasks])


def test_killed_in_the_middle_the_same_command_finishes_it(both: Stage) -> None:
    with both.shop.sidecar.background(LOAD) as load:
        begun = both.shop.player.begin("meshops.canary.release", **data(both))
        both.wait_for(begun, "observing", 1)
        begun.kill()
        play(both)
        load.stop()
        seen = load.result()
    assert weights(both) == NEW
    assert seen.failed == 0, seen.reasons
