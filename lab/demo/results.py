# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of the demo: its stages with their share checks, and what it recorded from start to end."""

from __future__ import annotations

import dataclasses
import typing as t

from lab.traffic import total_counts
from plugins.module_utils.analysis import split

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.traffic import Measurement

EVERYBODY = "everybody"
STAGE_ALPHA = 0.001
# Each place is tested alone too, so that a large one cannot hide a small one. That makes more tests, so each is weaker.
PLACE_ALPHA = 0.0001
MAX_SLOWDOWN = 3.0
"""How many times as long as on idle processors work may take. Above that, times do not count."""


@dataclasses.dataclass(frozen=True)
class ShareCheck:
    """Requests of one cohort from one place, and the shares they should have got.

    cohort: "everybody" or a user's name. wanted: version -> percent.
    """

    place: str
    cohort: str
    wanted: Mapping[str, int]
    measured: Measurement

    @property
    def p_value(self) -> float | None:
        return split.test_split(self.measured.counts, self.wanted).p_value

    def problem(self) -> str | None:
        if self.measured.failed:
            failed, reason = self.measured.failed, next(iter(self.measured.reasons))
            return f"{self.cohort} from the {self.place}: {failed} requests failed, most of them: {reason}"
        verdict = split.test_split(self.measured.counts, self.wanted, alpha=PLACE_ALPHA)
        if verdict.verdict == "fail" or verdict.p_value is None:
            return f"{self.cohort} from the {self.place}: {'; '.join(verdict.reasons)}"
        return None


@dataclasses.dataclass
class StageResult:
    """The result of one stage. Its counts are those of its first cohort, from all places together.

    commands: the commands as a user types them. began, ended: seconds since the epoch; measured_from: when the
    playbooks had ended and the share checks began. notes: sentences for the report. problems: why the stage failed.
    background_failed: failed requests of the background load. injected_failures: those that a bad version failed on
    purpose, which count apart. without_mesh: it ran on plain Kubernetes.
    slowdown: how many times as long as on idle processors work took on this machine; None if it is not known.
    """

    name: str
    purpose: str
    commands: list[str] = dataclasses.field(default_factory=list)
    checks: list[ShareCheck] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    began: float = 0.0
    measured_from: float = 0.0
    ended: float = 0.0
    background_failed: int = 0
    injected_failures: int = 0
    without_mesh: bool = False
    slowdown: float | None = None

    @property
    def cohorts(self) -> list[str]:
        """Return the measured cohorts, the stage's main one first."""
        return list(dict.fromkeys(check.cohort for check in self.checks))

    @property
    def wanted(self) -> Mapping[str, int]:
        return self.checks[0].wanted if self.checks else {}

    @property
    def counts(self) -> dict[str, int]:
        return self.counts_of(self.cohorts[0]) if self.checks else {}

    @property
    def requests(self) -> int:
        return sum(check.measured.requests for check in self.checks if check.cohort == self.cohorts[0])

    @property
    def failed(self) -> int:
        return self.background_failed + sum(check.measured.failed for check in self.checks)

    @property
    def p_value(self) -> float | None:
        return split.test_split(self.counts, self.wanted).p_value if self.checks else None

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def busy(self) -> bool:
        """Return whether the machine was too busy for times to count."""
        return self.slowdown is not None and self.slowdown > MAX_SLOWDOWN

    def counts_of(self, cohort: str) -> dict[str, int]:
        return total_counts(check.measured for check in self.checks if check.cohort == cohort)

    def require_whole_load(self, measured: Measurement, place: str) -> None:
        """Add a problem if the background load from `place` ended before the stage, for then it proves nothing."""
        if measured.ended_by != "stop":
            self.problems.append(f"the load from the {place} ended early, by its {measured.ended_by}")

    def judge(self) -> None:
        """Add a problem for each share that is wrong and for the failed requests."""
        if not self.checks:
            self.problems.append("nothing was measured")
        for cohort in self.cohorts:
            wanted = next(check.wanted for check in self.checks if check.cohort == cohort)
            verdict = split.test_split(self.counts_of(cohort), wanted, alpha=STAGE_ALPHA)
            if verdict.verdict != "pass":
                self.problems.append(f"{cohort}: {'; '.join(verdict.reasons)}")
        self.problems += [problem for check in self.checks if (problem := check.problem())]
        if self.background_failed:
            self.problems.append(f"{self.background_failed} requests of the background load failed during this stage")


@dataclasses.dataclass
class CohortHistory:
    """One cohort from the start of the demo to its end. Times are seconds since the epoch.

    weights: (time, version -> percent), an entry for each change of the cohort's weights in the routing object.
    timeline: answers to its requests by second: `{"at": second, "counts": {"v1": 20, "failed": 1}}`; `injected`
    instead of `failed` where a bad version failed on purpose.
    """

    cohort: str
    weights: list[tuple[float, dict[str, int]]] = dataclasses.field(default_factory=list)
    timeline: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class DemoResult:
    """The result of the whole demo. Times are seconds since the epoch.

    background_requests: requests of the background load, over all stages.
    replicas: (time, version -> ready pods), an entry for each change. facts: name -> text, for the report's footer.
    """

    cluster: str
    began: float
    ended: float = 0.0
    stages: list[StageResult] = dataclasses.field(default_factory=list)
    histories: list[CohortHistory] = dataclasses.field(default_factory=list)
    background_requests: int = 0
    replicas: list[tuple[float, dict[str, int]]] = dataclasses.field(default_factory=list)
    facts: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return bool(self.stages) and all(stage.passed for stage in self.stages)

    @property
    def failed(self) -> int:
        return sum(stage.failed for stage in self.stages)

    @property
    def injected_failures(self) -> int:
        return sum(stage.injected_failures for stage in self.stages)

    @property
    def requests(self) -> int:
        """Return the number of all requests, those of the background load included."""
        return self.background_requests + sum(c.measured.requests for stage in self.stages for c in stage.checks)

    @property
    def slowdown_text(self) -> str:
        """Return how busy the machine was, and the stages whose figures do not count because of that."""
        slowdowns = {stage.name: stage.slowdown for stage in self.stages if stage.slowdown is not None}
        if not slowdowns:
            return "How busy the machine was is not known."
        busy = [stage for stage in self.stages if stage.busy]
        if not busy:
            return (
                f"The machine was not too busy: work took at most {max(slowdowns.values()):.1f} times as long as on "
                f"idle processors (limit {MAX_SLOWDOWN:g})."
            )
        stages = ", ".join(f"{stage.name} ({stage.slowdown:.1f})" for stage in busy)
        text = (
            f"The machine was too busy in {len(busy)} of {len(self.stages)} stages: work took more than "
            f"{MAX_SLOWDOWN:g} times as long as on idle processors. Times and latencies of these stages do not count: "
            f"{stages}."
        )
        failed = ", ".join(stage.name for stage in busy if stage.failed)
        return f"{text} That may be why requests failed ({failed}): run the demo again." if failed else text

    def as_dict(self) -> dict[str, t.Any]:
        """Return the content of out/demo.json."""
        return {
            "cluster": self.cluster,
            "stages": [_stage_as_dict(stage) for stage in self.stages],
            "seconds": round(self.ended - self.began, 1),
        }


def _stage_as_dict(stage: StageResult) -> dict[str, t.Any]:
    return {
        "name": stage.name,
        "wanted": dict(stage.wanted),
        "requests": stage.requests,
        "counts": stage.counts,
        "failed": stage.failed,
        "injected_failures": stage.injected_failures,
        "p_value": stage.p_value,
        "seconds": round(stage.ended - stage.began, 1),
        "passed": stage.passed,
        "problems": stage.problems,
        "slowdown": stage.slowdown and round(stage.slowdown, 2),
        "busy": stage.busy,
        "checks": [
            {
                "from": check.place,
                "cohort": check.cohort,
                "wanted": dict(check.wanted),
                "requests": check.measured.requests,
                "counts": dict(check.measured.counts),
                "failed": check.measured.failed,
                "p_value": check.p_value,
                "latency_ms": dict(check.measured.latency_ms),
            }
            for check in stage.checks
        ],
    }
