# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure what a task costs, side by side with kubernetes.core: seconds, and requests by the API server's audit log.

One service's VirtualService and DestinationRule on the lab's API server, no pods. Every way runs the same tasks many
times in one ansible-playbook; the first task of each is left out, for it pays for imports. Writes out/bench.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import statistics
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.direct import ISTIO, destination_rule, service, virtual_service
from support.kube import Kube
from support.lab import Lab
from support.play import Player

AUDIT_DELAY = 2.0  # seconds until the API server has written its log
WEIGHTS = ({"v1": 90, "v2": 10}, {"v1": 80, "v2": 20})


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to do the job. task: (namespace, weights) -> Ansible task. environment: for ansible-playbook.

    works: False for a task that does nothing at all, which is what Ansible itself costs.
    """

    name: str
    task: t.Callable[[str, dict[str, int]], dict[str, t.Any]]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    works: bool = True


def ours(namespace: str, weights: dict[str, int]) -> dict[str, t.Any]:
    options = {"service": "reviews", "namespace": namespace, "weights": weights, "wait": False, "preflight": False}
    return {"meshops.canary.canary_weight": options}


def theirs(namespace: str, weights: dict[str, int]) -> dict[str, t.Any]:
    """The usual way: a merge patch that names every route, and with it whatever else stands there."""
    written = virtual_service()
    entries = [
        {"destination": {"host": "reviews", "subset": name}, "weight": weight} for name, weight in weights.items()
    ]
    written["spec"]["http"][0]["route"] = entries
    return {"kubernetes.core.k8s": {"state": "patched", "namespace": namespace, "definition": written}}


def nothing(_namespace: str, _weights: dict[str, int]) -> dict[str, t.Any]:
    return {"ansible.builtin.debug": {"msg": "nothing"}}


WAYS = (
    Way("an empty task", nothing, works=False),
    Way("canary_weight", ours),
    Way("canary_weight as a module", ours, {"CANARY_IN_PROCESS": "false"}),
    Way("kubernetes.core.k8s", theirs),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What one way took for one job: seconds a task (median and slowest tenth) and requests a task, by verb."""

    job: str
    way: str
    tasks: int
    median: float
    p90: float
    requests: dict[str, float]


class Bench:
    """Runs the ways in one namespace of the lab."""

    def __init__(self, lab: Lab, folder: Path, tasks: int) -> None:
        self._lab, self._kube, self._tasks = lab, Kube(lab.kubeconfig), tasks
        self._player = Player(folder, kubeconfig=lab.kubeconfig)

    def row(self, way: Way, *, changing: bool) -> Row:
        """Run the way's tasks in a namespace of their own and measure each."""
        namespace = f"bench-{secrets.token_hex(3)}"
        self._kube.create_namespace(namespace, labels={})
        try:
            self._kube.apply(service(), destination_rule(), virtual_service(), namespace=namespace)
            wanted = [WEIGHTS[number % 2 if changing else 0] for number in range(self._tasks + 2)]
            tasks = [
                {"name": f"Task {number}", **way.task(namespace, weights)} for number, weights in enumerate(wanted)
            ]
            self._player(tasks[:2], environment=way.environment)
            time.sleep(AUDIT_DELAY)
            before = len(self._requests(namespace))
            played = self._player(tasks, environment=way.environment, seconds=900)
            time.sleep(AUDIT_DELAY)
            counted = self._requests(namespace)[before:]
            if way.works:
                self._prove(namespace, wanted[-1])
        finally:
            self._kube.delete_namespace(namespace)
        seconds = sorted(played.seconds[2:])
        verbs = {verb: counted.count(verb) / len(tasks) for verb in sorted(set(counted))}
        p90 = seconds[min(len(seconds) - 1, int(0.9 * len(seconds)))]
        job = "change two weights" if changing else "nothing to change"
        return Row(job, way.name, len(seconds), round(statistics.median(seconds), 4), round(p90, 4), verbs)

    def _requests(self, namespace: str) -> list[str]:
        """Return the verbs of all requests for routing objects of the namespace, oldest first."""
        events = self._lab.audited(namespace)
        kinds = ("virtualservices", "destinationrules")
        return [one["verb"] for one in events if (one.get("objectRef") or {}).get("resource") in kinds]

    def _prove(self, namespace: str, weights: dict[str, int]) -> None:
        """A way that does not do the job is not worth measuring."""
        found = self._kube.get(ISTIO, "VirtualService", "reviews", namespace)
        assert found
        entries = found["spec"]["http"][0]["route"]
        assert {one["destination"]["subset"]: one.get("weight") for one in entries} == weights


def table(rows: list[Row]) -> str:
    """Return the rows for people; the last column compares with kubernetes.core."""
    lines = [f"{'job':<20}{'way':<28}{'median':>10}{'p90':>10}  {'requests a task':<28}{'times faster':>12}"]
    for row in rows:
        base = next(one.median for one in rows if one.job == row.job and one.way == WAYS[-1].name)
        verbs = ", ".join(f"{count:.2g} {verb}" for verb, count in row.requests.items())
        times = f"{row.median * 1000:>7.0f} ms{row.p90 * 1000:>7.0f} ms"
        lines.append(f"{row.job:<20}{row.way:<28}{times}  {verbs:<28}{base / row.median:>12.1f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=30, help="tasks of each kind that are measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Lab.running(), Path(folder), options.tasks)
        rows = [bench.row(way, changing=changing) for changing in (False, True) for way in WAYS]
    out = ROOT / "out" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
