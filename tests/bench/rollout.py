# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure whole rollouts by the playbook under load: how long, how quickly back, what was lost; to out/rollout.json.

The work is the one other tools were measured with: three pods of stable, 10, 25, 50 and 100 percent, no pauses, no
analysis, 250 requests a second from inside the mesh.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.collection import install_loader

install_loader()

from support.direct import Direct
from support.kube import Kube
from support.lab import Lab
from support.rollouts import Stage, kill, report
from support.shop import opened

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from lab.traffic import Measurement

LOAD = Load(seconds=200, rate=250, connections=6, limit=200)
STEPS = [{"weight": weight, "pause": 0, "analysis": False} for weight in (10, 25, 50, 100)]
AWAY = 20  # seconds the playbook is gone

Figures = dict[str, t.Any]


def under_load(stage: Stage, work: Callable[[], Figures]) -> Figures:
    """Return what the work measured, and what the load saw of it."""
    with stage.shop.sidecar.background(LOAD) as running:
        time.sleep(3)
        figures = work()
        time.sleep(1)
        running.stop()
        seen = running.result()
    last = figures.pop("last answer", None)
    return {**figures, **(last(seen) if last else {}), "failed": seen.failed, "requests": seen.requests}


def whole(stage: Stage, **variables: t.Any) -> Figures:
    """A good version from nothing to everything."""
    began = time.time()
    told = report(stage.rollout("v3", steps=STEPS, rollout_retire_after=0, **variables))
    return {
        "seconds": round(time.time() - began, 2),
        "seconds from lock to promotion": round(told["ended"] - told["began"], 2),
    }


def started_from_nothing(stage: Stage) -> Figures:
    stage.kube.patch("apps/v1", "Deployment", "reviews-v3", stage.shop.namespace, {"spec": {"replicas": 0}})
    stage.kube.wait_until(lambda: not stage.pods("v3"), 60, "no pod of v3")
    return whole(stage, rollout_capacity=True)


def taken_back(stage: Stage) -> Figures:
    """A version that fails half of its requests, judged at 25 percent."""
    told = report(stage.rollout("v3", fails=True, steps=[{"weight": 25, "pause": 10}, 100]))
    events = {entry["event"]: entry["at"] for entry in told["events"]}

    def last(seen: Measurement) -> Figures:
        return {"seconds from decision to the canary's last answer": round(seen.last_sent["v3"] - events["fail"], 2)}

    return {"requests harmed by the canary": told["harmed"], "last answer": last}


def killed_and_resumed(stage: Stage) -> Figures:
    process = stage.begin("v3", steps=STEPS)
    stage.kube.wait_until(lambda: stage.run().get("at") == 1, 60, "the second step")
    kill(process)
    time.sleep(AWAY)
    began = time.time()
    told = report(stage.rollout("v3", steps=STEPS, rollout_retire_after=0))
    return {"seconds after the restart": round(time.time() - began, 2), "phase": told["phase"]}


WORKS: dict[str, Callable[[Stage], Figures]] = {
    "whole canary, pods up": whole,
    "whole canary, pods starting": started_from_nothing,
    "killed at the second step for 20 s": killed_and_resumed,
    "taken back at 25 %": taken_back,
}


def main() -> int:
    lab = Lab.running()
    kube = Kube(lab.kubeconfig)
    measured: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder, opened(lab, kube, Path(folder)) as shop:
        kube.patch("apps/v1", "Deployment", "reviews-v2", shop.namespace, {"spec": {"replicas": 3}})
        kube.wait_available(["reviews-v2"], shop.namespace)
        stage = Stage(shop, kube, Direct(lab.kubeconfig, shop.namespace))
        for name, work in WORKS.items():
            stage.reset()
            if name.startswith("taken back"):
                stage.break_version("v3", FAULT_ERROR_RATE=0.5)
            measured[name] = under_load(stage, lambda work=work: work(stage))  # type: ignore[misc]
            print(f"{name:<38}{', '.join(f'{key} {value}' for key, value in measured[name].items())}", flush=True)
    out = ROOT / "out" / "rollout.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
