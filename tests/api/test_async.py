# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task with async ends when its work ends: no result has a key by which Ansible would wait on."""

from __future__ import annotations

import time
import typing as t

if t.TYPE_CHECKING:
    from support.play import Player


def test_an_analysis_in_the_background_ends_with_its_verdict(play: Player, routed: str) -> None:
    options = {"service": "reviews", "namespace": routed, "stable": "v1", "canary": "v2", "watch": 1, "deadline": 2}
    began = time.monotonic()
    played = play([{"meshops.canary.canary_analysis": options, "async": 60, "poll": 1}])
    assert time.monotonic() - began < 40
    assert played.last["verdict"] == "inconclusive"
    assert played.last["started_at"] > 0
