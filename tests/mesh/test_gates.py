# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manual gate under load: the person decides, and while they think the canary is watched."""

from __future__ import annotations

import contextlib
import typing as t
from concurrent import futures

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE, REJECT
from support.rollouts import LOAD, report

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.play import Played
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

HALF = [{"weight": 50, "gate": "manual"}, 100]
TASK = "meshops.canary.rollout : "
ASKED = TASK + "Say what is waited for"


@contextlib.contextmanager
def gated(stage: Stage, *, fails: bool) -> Iterator[futures.Future[Played]]:
    """Yield a rollout under load that waits at its gate at half; afterwards it has ended."""
    with stage.shop.sidecar.background(LOAD) as load, futures.ThreadPoolExecutor(1) as pool:
        playing = pool.submit(stage.rollout, "v3", fails=fails, steps=HALF, rollout_gate_seconds=100)
        stage.kube.wait_until(lambda: stage.run().get("phase") == "gated", 90, "v3 waits at half")
        yield playing
        playing.result()
        load.stop()


def answer(stage: Stage, annotation: str) -> None:
    """Say to the gate what its commands say: by an annotation that names its ticket."""
    metadata = {"annotations": {annotation: stage.direct("rollout")["run"]["ticket"]}}
    stage.kube.patch("v1", "Service", "reviews", stage.shop.namespace, {"metadata": metadata})


def test_a_canary_that_begins_to_fail_while_a_person_thinks_is_taken_back(stage: Stage) -> None:
    with gated(stage, fails=True) as playing:
        stage.break_version("v3", FAULT_ERROR_RATE=0.3)
        played = playing.result()
    told = report(played)
    assert told["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    assert "canary requests failed" in told["reason"]
    last = [entry for entry in told["events"] if entry.get("verdict")][-1]
    assert (last["event"], last["from"], last["verdict"]) == ("fail", "gated", "fail")
    assert told["harmed"] > 0
    names = [name for name, _host, _result in played.tasks]
    watched = max(number for number, name in enumerate(names) if name.startswith(TASK + "Judge the canary"))
    assert names.index(ASKED) < watched, "whoever is to answer reads the commands before anybody waits"
    print({name: last[name] for name in ("seconds", "reason", "harmed") if name in last})


@pytest.mark.parametrize(
    ("annotation", "phase", "weights"),
    [(APPROVE, "promoted", {"v3": 100}), (REJECT, "rolled_back", {"v2": 100})],
)
def test_an_answer_ends_the_wait(stage: Stage, annotation: str, phase: str, weights: dict[str, int]) -> None:
    with gated(stage, fails=annotation == REJECT) as playing:
        answer(stage, annotation)
        played = playing.result()
    told = report(played)
    assert (told["phase"], stage.weights()) == (phase, weights)
    said = {"promoted": "approved", "rolled_back": "rejected"}[phase]
    (entry,) = [entry for entry in told["events"] if entry["from"] == "gated" and entry["event"] == said]
    assert entry["verdict"] == "inconclusive", "the person decided, and no test did"
    assert entry["seconds"] < 60
    assert f"annotate --overwrite service reviews {annotation}={told['id']}-1-" in str(played.task(ASKED)["msg"])
