# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manual gate under load: a person decides, and the canary is judged until then."""

from __future__ import annotations

import contextlib
import typing as t
from concurrent import futures

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE, REJECT
from support.rollouts import LOAD, report, shown, with_errors

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.play import Played
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

HALF = [{"weight": 50, "gate": "manual"}, 100]


@contextlib.contextmanager
def gated(stage: Stage, *, fails: bool) -> Iterator[futures.Future[Played]]:
    """Yield a rollout under load that waits at its gate at 50 %; afterwards it has ended."""
    with stage.shop.sidecar.background(LOAD) as load, futures.ThreadPoolExecutor(1) as pool:
        playing = pool.submit(stage.rollout, "v3", fails=fails, steps=HALF, rollout_gate_seconds=100)
        stage.kube.wait_until(lambda: stage.run().get("phase") == "gated", 90, "v3 waits at half")
        yield playing
        playing.result()
        load.stop()


def answer(stage: Stage, annotation: str) -> None:
    """Answer the gate as its commands do: by an annotation with its ticket."""
    metadata = {"annotations": {annotation: stage.direct("rollout")["run"]["ticket"]}}
    stage.kube.patch("v1", "Service", "reviews", stage.shop.namespace, {"metadata": metadata})


def test_a_canary_that_begins_to_fail_at_the_gate_is_rolled_back(stage: Stage) -> None:
    failing = with_errors(LOAD, v3=0.3)
    with gated(stage, fails=True) as playing, stage.shop.sidecar.background(failing):
        played = playing.result()
    ended = report(played)
    assert ended["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    assert "canary requests failed" in ended["reason"]
    last = [entry for entry in ended["events"] if entry.get("verdict")][-1]
    assert (last["event"], last["from"], last["verdict"]) == ("fail", "gated", "fail")
    assert ended["failed_requests"] > 0
    lines = shown(played)
    shown_at = next(number for number, line in enumerate(lines) if line.startswith("To approve: "))
    assert lines[shown_at + 1].startswith("To reject: ")
    assert lines[shown_at + 2].startswith("reviews v3 | fail"), "the commands are shown before the wait begins"
    print({name: last[name] for name in ("seconds", "reason", "failed_requests") if name in last})


@pytest.mark.parametrize(
    ("annotation", "phase", "weights"),
    [(APPROVE, "promoted", {"v3": 100}), (REJECT, "rolled_back", {"v2": 100})],
)
def test_an_answer_ends_the_wait(stage: Stage, annotation: str, phase: str, weights: dict[str, int]) -> None:
    with gated(stage, fails=annotation == REJECT) as playing:
        answer(stage, annotation)
        played = playing.result()
    ended = report(played)
    assert (ended["phase"], stage.weights()) == (phase, weights)
    said = {"promoted": "approved", "rolled_back": "rejected"}[phase]
    (entry,) = [entry for entry in ended["events"] if entry["from"] == "gated" and entry["event"] == said]
    assert entry["verdict"] == "inconclusive", "the person decided, not a test"
    assert entry["seconds"] < 60
    assert f"annotate --overwrite service reviews {annotation}={ended['id']}-1-" in " ".join(shown(played))
