# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the tests, tier by tier, and say what came of it: on the terminal and as JSON under out/."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "lab")]

from kindlab import cache
from runner import checks
from runner.steps import Outcome, Runner, Step
from runner.workspace import collection_copy, tool_home
from support import lab
from support.collection import tree

OUT = ROOT / "out"
CHECK = ("lint", "unit", "property")
LAB = ("api", "mesh", "molecule")
TEST = (*CHECK, *LAB)


class Tiers:
    """The tiers in the order of their cost; each method gives one tier's outcomes."""

    def __init__(self, *, thorough: bool) -> None:
        self._thorough = thorough
        self.runner = Runner(OUT / "logs")
        self.home = tool_home(cache.root())
        self.outcomes: dict[str, list[Outcome]] = {}
        self.not_run: list[str] = []

    def check(self, wanted: t.Collection[str]) -> None:
        """Run what needs no cluster, all side by side."""
        with collection_copy(ROOT) as workspace:
            tiers = {
                "lint": checks.lint_steps(ROOT, workspace, self.home),
                "unit": [checks.pytest_step(ROOT, "unit", OUT)],
                "property": [checks.property_step(ROOT, OUT, thorough=self._thorough)],
            }
            steps = [step for tier in wanted for step in tiers[tier]]
            found = {outcome.name: outcome for outcome in self.runner.side_by_side(steps)}
        for tier in wanted:
            self.outcomes[tier] = [found[step.name] for step in tiers[tier]]

    def cluster(self, wanted: t.Collection[str]) -> None:
        """Run what needs the lab; start it when it is not up, and then also take it down."""
        started = False
        if not lab.status().get("ready"):
            started = True
            up = Step("lab-up", ((str(lab.COMMAND), "up"),), ROOT, seconds=3000)
            self.outcomes["lab"] = [self.runner.run(up, show=True)]
        try:
            if "lab" not in self.outcomes or self.outcomes["lab"][0].ok:
                for tier in wanted:
                    self.outcomes[tier] = [self.runner.run(self._cluster_step(tier), show=True)]
                    if tier == "api":
                        steps, self.not_run = checks.release_steps(ROOT, OUT)
                        self.outcomes[tier] += self.runner.side_by_side(steps)
        finally:
            if started:
                down = Step("lab-down", ((str(lab.COMMAND), "down"),), ROOT, seconds=300)
                self.outcomes["lab"].append(self.runner.run(down))

    def _cluster_step(self, tier: str) -> Step:
        if tier == "molecule":
            return checks.molecule_step(ROOT, self.home, tree())
        return checks.lab_step(ROOT, tier, OUT)


def report(name: str, outcomes: dict[str, list[Outcome]], not_run: list[str], seconds: float) -> bool:
    """Print the summary, write it to out/NAME.json, and return whether everything passed."""
    parts = [part for tier in outcomes.values() for part in tier]
    passed, failed = sum(part.passed for part in parts), sum(part.failed for part in parts)
    failed += sum(1 for part in parts if not part.ok and not part.failed)  # no test at all is a failure too
    tiers = [
        {
            "name": tier,
            "ok": all(part.ok for part in found),
            "passed": sum(part.passed for part in found),
            "failed": sum(part.failed for part in found),
            "second": sum(part.second for part in found),
            "seconds": round(sum(part.seconds for part in found), 1),
            "parts": [part.as_dict() for part in found],
        }
        for tier, found in outcomes.items()
    ]
    summary = {"tiers": tiers, "passed": passed, "failed": failed, "not_run": not_run, "seconds": round(seconds, 1)}
    (OUT / f"{name}.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"\n{'tier':<12}{'passed':>8}{'failed':>8}{'seconds':>10}")
    for tier in tiers:
        note = "" if tier["ok"] else "   FAILED: " + ", ".join(part["name"] for part in tier["parts"] if not part["ok"])
        note += f"   ({tier['second']} of them only at the second try)" if tier["second"] else ""
        print(f"{tier['name']:<12}{tier['passed']:>8}{tier['failed']:>8}{tier['seconds']:>10}{note}")
    print(f"{'all':<12}{passed:>8}{failed:>8}{summary['seconds']:>10}   (wall clock; details: out/{name}.json)\n")
    for sentence in not_run:
        print(sentence)
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed == 0 and passed > 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/run.py", description=__doc__)
    words = "check: lint, unit, property. test: these, api, mesh and molecule"
    parser.add_argument("what", choices=["check", "test"], help=words)
    parser.add_argument("--only", metavar="TIER", nargs="+", choices=CHECK + LAB, help="run these tiers alone")
    options = parser.parse_args()
    wanted = options.only or {"check": CHECK, "test": TEST}[options.what]
    os.environ.pop("ANSIBLE_CONFIG", None)  # the tests bring their own settings
    os.environ["CANARY_LAB_CACHE"] = str(cache.root())  # the same for steps that have another HOME
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by a signal."))
    began = time.monotonic()
    tiers = Tiers(thorough=options.what != "check")
    try:
        if here := [tier for tier in CHECK if tier in wanted]:
            tiers.check(here)
        if there := [tier for tier in LAB if tier in wanted]:
            tiers.cluster(there)
    except (KeyboardInterrupt, SystemExit):
        tiers.runner.stop()
        raise
    return 0 if report(options.what, tiers.outcomes, tiers.not_run, time.monotonic() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
