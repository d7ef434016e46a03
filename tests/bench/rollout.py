# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure whole rollouts by the playbook under load: how long, how quickly back, what was lost; to out/rollout.json.

The work is the one other tools were measured with: three pods of stable, 10, 25, 50 and 100 percent, no pauses, no
analysis, 250 requests a second from inside the mesh. Times are those of the audit log (API server, milliseconds) and of
the load; on the lab all clocks are one machine's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.collection import install_loader

install_loader()

from support.direct import ISTIO, Direct
from support.kube import Kube
from support.lab import Lab
from support.rollouts import Stage, report
from support.shop import opened

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from lab.traffic import Measurement

LOAD = Load(seconds=300, rate=250, connections=6, limit=300)
STEPS = [{"weight": weight, "pause": 0, "analysis": False} for weight in (10, 25, 50, 100)]
AWAY = 20  # seconds the playbook is gone
HELD = 8  # seconds a share is kept where the share itself is measured
EDGE = 0.5  # seconds around a change in which neither share is looked at

Figures = dict[str, t.Any]
Told = dict[str, t.Any]
Later = t.Callable[["Measurement"], Figures]


def moment(report: Told, event: str, weight: float | None = None) -> float:
    """Return the epoch seconds of the first such entry of the audit log, at this weight if one is given."""
    at = next(one["at"] for one in report["events"] if one["event"] == event and weight in (None, one.get("weight")))
    return seconds_of(at)


def seconds_of(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def under_load(stage: Stage, work: Callable[[], tuple[Figures, Later | None]]) -> Figures:
    """Return what the work measured, and what the load saw of it."""
    with stage.shop.sidecar.background(LOAD) as running:
        time.sleep(3)
        figures, later = work()
        time.sleep(1)
        running.stop()
        seen = running.result()
    return {**figures, **(later(seen) if later else {}), "failed": seen.failed, "requests": seen.requests}


def whole(stage: Stage, **variables: t.Any) -> tuple[Figures, None]:
    """A good version from nothing to everything."""
    began, worked = time.time(), worked_so_far()
    result = report(stage.rollout("v3", steps=STEPS, rollout_retire_after=0, **variables))
    took, work = time.time() - began, worked_so_far() - worked
    lock, end = seconds_of(result["began"]), seconds_of(result["ended"])
    return {
        "seconds of the command": round(took, 2),
        "of which the playbook computed": round(work, 2),
        "seconds from lock to promotion": round(end - lock, 2),
    }, None


def worked_so_far() -> float:
    """Return the processor seconds of all programs that were run and have ended: no matter who else computes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def whole_from_nothing(stage: Stage) -> tuple[Figures, None]:
    """The same with pods that start, and how long these pods need where nothing else is done."""
    scaled(stage, "v3", 0)
    stage.kube.wait_until(lambda: not stage.pods("v3"), 60, "no pod of v3")
    figures, _later = whole(stage, rollout_capacity=True)
    pods = len(stage.pods("v3"))
    stage.reset()
    scaled(stage, "v3", 0)
    stage.kube.wait_until(lambda: not stage.pods("v3"), 60, "no pod of v3")
    began = time.time()
    scaled(stage, "v3", pods)
    stage.kube.wait_until(lambda: len(stage.pods("v3")) == pods, 60, "the pods of v3")
    stage.kube.wait_available(["reviews-v3"], stage.shop.namespace)
    return {**figures, f"seconds of {pods} pods alone": round(time.time() - began, 2)}, None


def hundred_steps(stage: Stage) -> tuple[Figures, None]:
    steps = [{"weight": weight, "pause": 0, "analysis": False} for weight in range(1, 101)]
    began = time.time()
    stage.rollout("v3", steps=steps, rollout_retire_after=0)
    return {"seconds of the command": round(time.time() - began, 2)}, None


def rolled_back_by_command(stage: Stage) -> tuple[Figures, Later]:
    """Half of the requests go to the new version, and somebody runs the playbook rollback."""
    stage.direct("weight", weights={"v2": 50, "v3": 50}, force=["CAPACITY_BELOW_SHARE"])
    time.sleep(1)
    began = time.time()
    names = {"service": "reviews", "ns": stage.shop.namespace, "stable": "v2"}
    stage.shop.player.begin("meshops.canary.rollback", **names).wait(seconds=60)  # a process that starts cold
    took = time.time() - began

    def last(seen: Measurement) -> Figures:
        return {"seconds from the command to the canary's last answer": round(seen.last_sent["v3"] - began, 2)}

    return {"seconds of the command": round(took, 2)}, last


def taken_back(stage: Stage) -> tuple[Figures, Later]:
    """A version that fails half of its requests, judged at 25 percent."""
    result = report(stage.rollout("v3", fails=True, steps=[{"weight": 25, "pause": 10}, 100]))
    decided, shifted = moment(result, "fail"), moment(result, "shifted")
    looked = next(one for one in result["events"] if one["event"] == "fail")

    def last(seen: Measurement) -> Figures:
        return {
            "seconds from the verdict's record to the canary's last answer": round(seen.last_sent["v3"] - decided, 3)
        }

    return {
        "seconds from the share to the verdict": round(decided - shifted, 2),
        "seconds from the first error to the verdict": looked["reaction_seconds"],
        "requests that the canary failed": result["failed_requests"],
    }, last


def third_version(stage: Stage) -> tuple[Figures, Later]:
    """v1 takes the place of v3, which has half; it must begin at its own first share."""
    halves = [{"weight": 50, "gate": "manual", "analysis": False, "pause": 0}, 100]
    begun = stage.begin("v3", steps=halves, rollout_gate_seconds=60)
    stage.kube.wait_until(lambda: stage.run().get("phase") == "gated", 90, "v3 waits at half")
    began = time.time()
    steps = [{"weight": 10, "pause": HELD, "analysis": False}, {"weight": 100, "pause": 0, "analysis": False}]
    result = report(stage.rollout("v1", steps=steps, supersede=True, rollout_retire_after=0))
    begun.kill()  # it has lost its lock, and would say so at the end of its gate
    lock, shifted, next_step = (
        seconds_of(result["began"]),
        moment(result, "shifted", 10),
        moment(result, "approved", 10),
    )

    def after(seen: Measurement) -> Figures:
        share, requests = measured(seen, "v1", shifted + EDGE, next_step - EDGE)
        early, _number = measured(seen, "v1", lock, shifted + EDGE)
        return {
            "seconds from the command to the old canary's last answer": round(seen.last_sent["v3"] - began, 2),
            "seconds from the lock to the old canary's last answer": round(seen.last_sent["v3"] - lock, 2),
            "seconds the third version served beside the old canary": round(
                max(0.0, seen.last_sent["v3"] - seen.first_sent["v1"]), 3
            ),
            "percent of the third version until its first share was proven": early,
            "percent of the third version at 10": share,
            "of requests": requests,
        }

    return {}, after


def share_while_promoting(stage: Stage) -> tuple[Figures, Later]:
    """The share measured at half, and while the promotion goes on, beside what the routes say."""
    steps = [{"weight": 50, "pause": HELD, "analysis": False}, {"weight": 100, "pause": 0, "analysis": False}]
    result = report(stage.rollout("v3", steps=steps, rollout_retire_after=HELD))
    half, over = moment(result, "shifted", 50), moment(result, "approved", 50)
    all_of_it, end = moment(result, "shifted", 100), moment(result, "done")

    def shares(seen: Measurement) -> Figures:
        at_half, requests = measured(seen, "v3", half + EDGE, over - EDGE)
        promoting, more = measured(seen, "v3", all_of_it + EDGE, end)
        return {
            "percent at 50": at_half,
            "of requests": requests,
            "percent while promoting, the routes say 100": promoting,
            "of requests then": more,
        }

    return {}, shares


def killed_and_resumed(stage: Stage) -> tuple[Figures, Later]:
    """The playbook is killed at 25 percent, nobody is there, and it is run again."""
    lasting = [{**one, "pause": HELD} if one["weight"] == 25 else one for one in STEPS]
    begun = stage.begin("v3", steps=lasting, rollout_retire_after=0)
    stage.kube.wait_until(
        lambda: (now := stage.run()).get("at") == 1 and now["phase"] == "observing", 180, "25 percent"
    )
    begun.kill()
    gone = time.time()
    time.sleep(AWAY)
    began = time.time()
    result = report(stage.rollout("v3", steps=lasting, rollout_retire_after=0))
    took = time.time() - began

    def alone(seen: Measurement) -> Figures:
        share, requests = measured(seen, "v3", gone + EDGE, began)
        return {"percent while nobody was there": share, "of requests": requests}

    end = {"seconds from the restart to the end": round(took, 2), "of which the step's own pause": HELD}
    return {**end, "phase": result["phase"]}, alone


def taken_over(stage: Stage) -> tuple[Figures, Later]:
    """A running service without routes is put under routing rules and given to one version."""
    for kind in ("VirtualService", "DestinationRule"):  # one after the other: a route must not outlive its subsets
        stage.kube.delete(ISTIO, kind, "reviews", stage.shop.namespace)
        time.sleep(2)
    began = time.time()
    stage.shop.player(
        [
            {
                "name": "Take the service over",
                "meshops.canary.canary_routing": {
                    "service": "reviews",
                    "namespace": stage.shop.namespace,
                    "versions": ["v1", "v2", "v3"],
                    "stable": "v2",
                },
            }
        ]
    )
    took = time.time() - began

    def others(seen: Measurement) -> Figures:
        last = max(seen.last_sent.get(version, began) for version in ("v1", "v3"))
        return {"seconds from the command to the others' last answer": round(last - began, 2)}

    return {"seconds of the command": round(took, 2)}, others


def measured(seen: Measurement, version: str, begin: float, end: float) -> tuple[float | None, int]:
    """Return the version's percent of the answers in the whole seconds between two moments, and their number."""
    inside = [one["counts"] for one in seen.timeline if begin <= one["at"] and one["at"] + 1 <= end]
    answers = sum(number for counts in inside for who, number in counts.items() if who != "failed")
    mine = sum(counts.get(version, 0) for counts in inside)
    return (round(100.0 * mine / answers, 2) if answers else None), answers


def scaled(stage: Stage, version: str, pods: int) -> None:
    stage.kube.patch("apps/v1", "Deployment", f"reviews-{version}", stage.shop.namespace, {"spec": {"replicas": pods}})


class Work(t.NamedTuple):
    """One thing that is measured. times: how often. broken: whether the new version fails half of its requests."""

    name: str
    do: Callable[[Stage], tuple[Figures, Later | None]]
    times: int = 1
    broken: bool = False


WORKS = (
    Work("whole canary, pods up", whole, times=3),
    Work("taken back at 25 %", taken_back, times=3, broken=True),
    Work("rolled back by the command", rolled_back_by_command, times=3),
    Work("third version at 50 %", third_version),
    Work("share while promoting", share_while_promoting),
    Work("killed at 25 % for 20 s", killed_and_resumed),
    Work("whole canary, pods starting", whole_from_nothing, times=2),
    Work("100 steps", hundred_steps),
    Work("take-over of a running service", taken_over),
)


def measure(stage: Stage, work: Work) -> list[Figures]:
    """Return what was measured, each time."""
    found: list[Figures] = []
    scaled(stage, "v3", 1)
    stage.kube.wait_until(lambda: len(stage.pods("v3")) == 1, 120, "the only pod of v3")
    stage.kube.wait_available(["reviews-v3"], stage.shop.namespace)
    if work.broken:
        stage.break_version("v3", FAULT_ERROR_RATE=0.5)
    for _again in range(work.times):
        stage.reset()
        found.append(under_load(stage, lambda: work.do(stage)))
        print(f"{work.name}: {', '.join(f'{key} {value}' for key, value in found[-1].items())}", flush=True)
    if work.broken:
        stage.break_version("v3", FAULT_ERROR_RATE=None)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure only the works whose name has this in it")
    wanted = [work for work in WORKS if parser.parse_args().only in work.name]
    lab = Lab.running()
    kube = Kube(lab.kubeconfig)
    machine = {"cores": os.cpu_count(), "architecture": platform.machine(), "load before": os.getloadavg()[0]}
    measured_on = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    works: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, opened(lab, kube, Path(folder)) as shop:
        stage = Stage(shop, kube, Direct(lab.kubeconfig, shop.namespace))
        scaled(stage, "v2", 3)
        kube.wait_available(["reviews-v2"], shop.namespace)
        for work in wanted:
            works[work.name] = measure(stage, work)
            write({"measured": measured_on, "machine": machine, "works": works})
    return 0


def write(figures: Figures) -> None:
    """Write what there is so far; a work that fails takes nothing from those before it."""
    out = ROOT / "out" / "rollout.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
