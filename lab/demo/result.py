# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the demo finds out: stages with their readings, and what was watched all the way through."""

from __future__ import annotations

import dataclasses
import typing as t

from lab.traffic import pooled
from plugins.module_utils.analysis import split

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.traffic import Measurement

EVERYBODY = "everybody"
STAGE_ALPHA = 0.001
# One place may not hide behind the other. Asked of every place alone, so more doubt is allowed than for the stage.
PLACE_ALPHA = 0.0001


@dataclasses.dataclass(frozen=True)
class Reading:
    """Requests of one cohort from one place, and the shares they should have had.

    who: "everybody" or a user's name. wanted: version -> percent.
    """

    place: str
    who: str
    wanted: Mapping[str, int]
    seen: Measurement

    @property
    def p_value(self) -> float | None:
        return split.test_split(self.seen.counts, self.wanted).p_value

    def problem(self) -> str | None:
        if self.seen.failed:
            most = next(iter(self.seen.reasons))
            return f"{self.who} from the {self.place}: {self.seen.failed} requests failed, most of them: {most}"
        verdict = split.test_split(self.seen.counts, self.wanted, alpha=PLACE_ALPHA)
        if verdict.verdict == "fail" or verdict.p_value is None:
            return f"{self.who} from the {self.place}: {'; '.join(verdict.reasons)}"
        return None


@dataclasses.dataclass
class Stage:
    """One step of the story. Its numbers are those of its first cohort, from all places together.

    commands: what was run, as the user would type it. began, ended: seconds since the epoch; `changed_at` is when the
    playbook had ended and measuring began. notes: sentences worth reading. troubles: why it failed, if it did.
    lost: failed requests of the load that runs through the whole demo. harmed: those that a bad version answered
    with an error, as it was made to; they are not lost. plain: it had no mesh.
    """

    name: str
    purpose: str
    commands: list[str] = dataclasses.field(default_factory=list)
    readings: list[Reading] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    troubles: list[str] = dataclasses.field(default_factory=list)
    began: float = 0.0
    changed_at: float = 0.0
    ended: float = 0.0
    lost: int = 0
    harmed: int = 0
    plain: bool = False

    @property
    def cohorts(self) -> list[str]:
        """Return who was measured, the stage's main cohort first."""
        return list(dict.fromkeys(reading.who for reading in self.readings))

    @property
    def wanted(self) -> Mapping[str, int]:
        return self.readings[0].wanted if self.readings else {}

    @property
    def counts(self) -> dict[str, int]:
        return self.counts_of(self.cohorts[0]) if self.readings else {}

    @property
    def requests(self) -> int:
        return sum(reading.seen.requests for reading in self.readings if reading.who == self.cohorts[0])

    @property
    def failed(self) -> int:
        return self.lost + sum(reading.seen.failed for reading in self.readings)

    @property
    def p_value(self) -> float | None:
        return split.test_split(self.counts, self.wanted).p_value if self.readings else None

    @property
    def passed(self) -> bool:
        return not self.troubles

    def counts_of(self, who: str) -> dict[str, int]:
        return pooled(reading.seen for reading in self.readings if reading.who == who)

    def judge(self) -> None:
        """Write down in `troubles` what the readings and the lost requests say against this stage."""
        if not self.readings:
            self.troubles.append("nothing was measured")
        for who in self.cohorts:
            wanted = next(reading.wanted for reading in self.readings if reading.who == who)
            verdict = split.test_split(self.counts_of(who), wanted, alpha=STAGE_ALPHA)
            if verdict.verdict != "pass":
                self.troubles.append(f"{who}: {'; '.join(verdict.reasons)}")
        self.troubles += [problem for reading in self.readings if (problem := reading.problem())]
        if self.lost:
            self.troubles.append(f"{self.lost} requests of the load that runs all the time failed during this stage")


@dataclasses.dataclass
class Course:
    """One cohort through the whole demo. Times are seconds since the epoch.

    weights: (time, version -> percent), an entry whenever the routing object gave this cohort others.
    timeline: what its requests got, second by second: `{"at": second, "counts": {"v1": 20, "failed": 1}}`;
    `harmed` instead of `failed` where a bad version was meant to fail.
    """

    who: str
    weights: list[tuple[float, dict[str, int]]] = dataclasses.field(default_factory=list)
    timeline: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Story:
    """The whole demo. Times are seconds since the epoch.

    background_requests: how many requests the load sent that runs through all stages.
    replicas: (time, version -> ready pods), an entry whenever they changed. facts: name -> text, for the report's foot.
    """

    cluster: str
    began: float
    ended: float = 0.0
    stages: list[Stage] = dataclasses.field(default_factory=list)
    courses: list[Course] = dataclasses.field(default_factory=list)
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
    def harmed(self) -> int:
        return sum(stage.harmed for stage in self.stages)

    @property
    def requests(self) -> int:
        """Return how many requests were sent in all, those of the background among them."""
        return self.background_requests + sum(r.seen.requests for stage in self.stages for r in stage.readings)

    def as_dict(self) -> dict[str, t.Any]:
        """Return what out/demo.json holds."""
        return {
            "cluster": self.cluster,
            "stages": [_stage_as_dict(stage) for stage in self.stages],
            "seconds": round(self.ended - self.began, 1),
        }


def _stage_as_dict(stage: Stage) -> dict[str, t.Any]:
    return {
        "name": stage.name,
        "wanted": dict(stage.wanted),
        "requests": stage.requests,
        "counts": stage.counts,
        "failed": stage.failed,
        "harmed": stage.harmed,
        "p_value": stage.p_value,
        "seconds": round(stage.ended - stage.began, 1),
        "passed": stage.passed,
        "troubles": stage.troubles,
        "readings": [
            {
                "from": reading.place,
                "who": reading.who,
                "wanted": dict(reading.wanted),
                "requests": reading.seen.requests,
                "counts": dict(reading.seen.counts),
                "failed": reading.seen.failed,
                "p_value": reading.p_value,
                "latency_ms": dict(reading.seen.latency_ms),
            }
            for reading in stage.readings
        ],
    }
