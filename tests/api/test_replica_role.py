# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps the playbook replica_canary climbs, seen in check mode on a real API server. No pod starts."""

from __future__ import annotations

import typing as t

import pytest
from support.unplaced import NEW, QUICK

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.play import Player

STEPS = [25, 40, 50]


@pytest.mark.parametrize(
    ("standing", "given", "climbed"),
    [
        (None, {}, [25, 40, 50]),
        (25, {}, [40, 50]),
        (60, {}, [50]),
        (40, {"replica_canary_from_start": True}, [25, 40, 50]),
        (40, {"replica_canary_from_start": "false"}, [50]),
        (50, {"image": "shop.invalid/reviews:1.17.0"}, [25, 40, 50]),
    ],
)
def test_steps_the_canary_has_behind_it_are_left_out(
    direct: Direct, play: Player, shop: str, standing: float | None, given: dict[str, t.Any], climbed: list[float]
) -> None:
    if standing is not None:
        direct("replicas", image=NEW, share=standing, **QUICK)
    options = {"service": "reviews", "ns": shop, "image": NEW, "share": STEPS, **given}
    played = play("meshops.canary.replica_canary", "--check", **options)
    steps = [result["results"] for name, _host, result in played.tasks if name.endswith("Give the canary its share")]
    assert [float(one[-1]["__replica_canary_asked"]) for one in steps] == climbed
    assert [len(one) for one in steps] == [1] + [2] * (len(climbed) - 1), "the step before is looked at first"


def test_an_end_climbs_nothing(direct: Direct, play: Player, shop: str) -> None:
    direct("replicas", image=NEW, share=25, **QUICK)
    played = play("meshops.canary.replica_canary", "--check", service="reviews", ns=shop, state="absent")
    assert not [name for name, _host, _result in played.tasks if name.endswith("Give the canary its share")]
    assert played.changed == 1
