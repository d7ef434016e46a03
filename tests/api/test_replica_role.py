# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that the playbook replica_canary takes, seen in check mode on a real API server. No pod starts."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import NEW, QUICK

if t.TYPE_CHECKING:
    from support.direct import Direct
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
