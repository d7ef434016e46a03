# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the tests, tier by tier, and report on the terminal and as JSON under out/."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "lab")]

from kindlab import cache
from runner import checks, report
from runner.steps import Outcome, Runner, Step
from runner.workspace import collection_copy, tool_home
from support import lab
from support.collection import tree

OUT = ROOT / "out"
CHECK = ("lint", "unit", "property")
LAB = ("api", "mesh", "molecule")
MODES = {"check": CHECK, "test": (*CHECK, *LAB), "soak": (*CHECK, *LAB)}
SOAK_PATIENCE = 4  # factor for the time limits of steps


class Tiers:
    """Runs the tiers and collects their outcomes. mode: one of MODES."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.runner = Runner(OUT / "logs", SOAK_PATIENCE if mode == "soak" else 1)
        self.home = tool_home(cache.root())
        self.outcomes: dict[str, list[Outcome]] = {}
        self.not_run: list[str] = []

    def run_checks(self, wanted: t.Collection[str]) -> None:
        """Run the tiers that need no cluster, all in parallel."""
        with collection_copy(ROOT) as workspace:
            tiers = {
                "lint": checks.lint_steps(ROOT, workspace, self.home),
                "unit": [checks.pytest_step(ROOT, "unit", OUT, seconds=1800)],
                "property": [checks.property_step(ROOT, OUT, self._mode)],
            }
            steps = [step for tier in wanted for step in tiers[tier]]
            found = {outcome.name: outcome for outcome in self.runner.run_parallel(steps)}
        for tier in wanted:
            self.outcomes[tier] = [found[step.name] for step in tiers[tier]]

    def run_on_lab(self, wanted: t.Collection[str]) -> None:
        """Run the tiers that need the lab. Start the lab if it is not up, and then also stop it."""
        started = False
        if not lab.status().get("ready"):
            started = True
            up = Step("lab-up", ((str(lab.COMMAND), "up"),), ROOT, seconds=3000)
            self.outcomes["lab"] = [self.runner.run(up, show=True)]
        try:
            if "lab" not in self.outcomes or self.outcomes["lab"][0].ok:
                self._run_on_running_lab(wanted)
        finally:
            if started:
                down = Step("lab-down", ((str(lab.COMMAND), "down"),), ROOT, seconds=300)
                self.outcomes["lab"].append(self.runner.run(down))

    def _run_on_running_lab(self, wanted: t.Collection[str]) -> None:
        """Run the tiers. Molecule mostly waits for pods: the tests with other releases of ansible-core run beside."""
        for tier in [tier for tier in wanted if tier != "molecule"]:
            self.outcomes[tier] = [self.runner.run(step, show=True) for step in checks.lab_steps(ROOT, tier, OUT)]
        scenarios = [checks.molecule_step(ROOT, self.home, tree())] if "molecule" in wanted else []
        releases, self.not_run = checks.release_steps(ROOT, OUT) if "api" in wanted else ([], [])
        found = self.runner.run_parallel([*scenarios, *releases])
        if scenarios:
            self.outcomes["molecule"] = found[:1]
        if releases:
            self.outcomes["api"] += found[len(scenarios) :]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/run.py", description=__doc__)
    words = "check: lint, unit, property. test: these, api, mesh and molecule. soak: the same with full counts"
    parser.add_argument("mode", choices=MODES, help=words)
    parser.add_argument("--only", metavar="TIER", nargs="+", choices=MODES["test"], help="run these tiers alone")
    options = parser.parse_args()
    wanted = options.only or MODES[options.mode]
    os.environ.pop("ANSIBLE_CONFIG", None)  # the tests bring their own settings
    os.environ["CANARY_LAB_CACHE"] = str(cache.root())  # the same for steps that have another HOME
    os.environ["CANARY_SOAK"] = "1" if options.mode == "soak" else "0"
    seed = os.environ.setdefault("CANARY_SEED", str(random.randrange(10**6)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by a signal."))
    started = time.monotonic()
    tiers = Tiers(options.mode)
    try:
        if here := [tier for tier in CHECK if tier in wanted]:
            tiers.run_checks(here)
        if there := [tier for tier in LAB if tier in wanted]:
            tiers.run_on_lab(there)
    except (KeyboardInterrupt, SystemExit):
        tiers.runner.stop()
        raise
    summary = report.summarize(tiers.outcomes, time.monotonic() - started, seed, tiers.not_run)
    (OUT / f"{options.mode}.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(report.text(summary, options.mode), flush=True)
    return 0 if report.succeeded(summary) else 1


if __name__ == "__main__":
    sys.exit(main())
