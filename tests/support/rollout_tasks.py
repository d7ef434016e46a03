# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of a rollout as its playbook runs them, called directly."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .direct import Direct

LEASES = "coordination.k8s.io/v1"
ADA, BOB = "ada@ops1/1", "bob@ops2/2"
PLAN: dict[str, t.Any] = {"stable": "v1", "canary": "v2", "steps": [10, 50, 100], "holder": ADA}
QUIET = {"preflight": False, "wait": False}


class Rollout:
    """One rollout of reviews from v1 to v2."""

    def __init__(self, direct: Direct, holder: str = ADA) -> None:
        self.direct, self.holder = direct, holder

    def opened(self, **options: t.Any) -> dict[str, t.Any]:
        return self.direct("rollout", state="opened", **{**PLAN, "holder": self.holder, **options})

    def recorded(self, event: str, **options: t.Any) -> dict[str, t.Any]:
        return self.direct("rollout", state="recorded", event=event, **{"holder": self.holder, **options})

    def closed(self) -> dict[str, t.Any]:
        return self.direct("rollout", state="closed", holder=self.holder)

    def present(self) -> dict[str, t.Any]:
        return self.direct("rollout", state="present")

    def shift(self, weights: dict[str, float]) -> None:
        self.direct("weight", weights=weights, **QUIET)

    def step(self, verdict: str = "pass") -> dict[str, t.Any]:
        """Take the step the rollout is at, from preparing to the verdict."""
        self.shift(self.recorded("ready")["run"]["desired_weights"])
        self.recorded("shifted")
        analysis = {
            "verdict": verdict,
            "reasons": [f"judged as {verdict}"],
            "metrics": [],
            "failed_requests": 3,
            "evidence": {},
        }
        return self.recorded(verdict, verdict=analysis)


def phase(result: dict[str, t.Any]) -> tuple[str, int]:
    return result["run"]["phase"], result["run"]["at"]
