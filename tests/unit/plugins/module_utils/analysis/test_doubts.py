# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a canary from passing although every metric is content: failures of nobody, and callers that give up."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.looks import Question
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sources import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.watching import Observation

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.analysis.verdict import Verdict

ERRORS = Question(Metric("errors", critical=True), "errors")
HANGING = Question(Metric("hanging", critical=True), "hanging")
RATE = Question(Metric("rate", floor=1.0, critical=True), "rate")


def seen(
    *questions: Question, looks: int = 30, failed: int = 0, gone: int = 0, given_up: int = 0, answered: int = 20
) -> Observation:
    """Watch a canary that fails nothing. failed, gone: requests a look without a version that failed, or that were
    given up. given_up: the canary's own. answered: by the canary."""
    observation = Observation(questions, "v2", "v1")
    ended = {"v2": Tally(answered + given_up, given_up), "v1": Tally(180, 0), "": Tally(failed + gone, gone)}
    one = Increment({"v2": Tally(answered, 0), "v1": Tally(180, 0), "": Tally(failed, failed)}, ended=ended)
    for _look in range(looks):
        observation.add(one, seconds=1.0)
        assert not observation.alarm()
    return observation


def verdict(*questions: Question, **numbers: int) -> Verdict:
    return seen(*questions, **numbers).verdict()


def test_failures_without_a_version_that_would_fail_the_canary_are_no_pass() -> None:
    said = verdict(ERRORS, failed=3)
    (reason,) = said.reasons
    assert said.outcome == "inconclusive"
    assert reason.startswith("90 requests failed or were given up, and the counters name no version for them.")
    assert "it would fail (errors: 90 of 690 canary requests failed, more than stable's 0 of 5400" in reason
    assert "statsInclusionPrefixes" in reason
    assert said.as_dict()["metrics"][0]["verdict"] == "pass", "what the metric says stays as it is"


def test_failures_without_a_version_that_are_too_few_to_matter_hold_nothing() -> None:
    observation = seen(ERRORS)
    observation.add(Increment({"": Tally(1, 1), "v2": Tally(20, 0), "v1": Tally(180, 0)}), seconds=1.0)
    assert observation.verdict().outcome == "pass"
    assert observation.lost == 1


def test_failures_without_a_version_are_held_against_a_limit_too() -> None:
    limit = Question(Metric("errors", limit=5.0, compare=False, critical=True), "errors")
    assert verdict(limit, failed=3).outcome == "inconclusive"
    zero = Question(Metric("errors", limit=0.0, compare=False, critical=True), "errors")
    assert verdict(zero, failed=1).outcome == "inconclusive"


def test_requests_without_a_version_that_were_answered_are_nobodys_failure() -> None:
    observation = Observation([ERRORS], "v2", "v1")
    for _look in range(30):
        observation.add(Increment({"v2": Tally(20, 0), "v1": Tally(180, 0), "": Tally(100, 0)}), seconds=1.0)
    assert (observation.verdict().outcome, observation.lost) == ("pass", 0)
    assert observation.seen == {"v2": 600, "v1": 5400, "": 3000}


@pytest.mark.parametrize("questions", [(ERRORS,), (ERRORS, HANGING), (ERRORS, RATE)])
def test_requests_given_up_without_a_version_may_be_the_canarys(questions: tuple[Question, ...]) -> None:
    said = verdict(*questions, gone=3)
    assert said.outcome == "inconclusive"
    assert "90 of 690 canary requests were given up by their callers, more than stable's 0 of 5400" in said.reasons[0]


@pytest.mark.parametrize("questions", [(ERRORS,), (ERRORS, RATE)])
def test_callers_that_give_up_on_the_canary_are_no_pass_whatever_is_judged(questions: tuple[Question, ...]) -> None:
    said = verdict(*questions, given_up=5)
    assert said.outcome == "inconclusive"
    assert said.reasons == (
        "150 of 750 canary requests were given up by their callers, more than stable's 0 of 5400; no chance explains "
        "that. No metric judges that; name one of kind hanging to have it judged.",
    )
    assert [one.metric for one in said.judgements] == [one.metric.name for one in questions]


def test_callers_that_all_give_up_are_named_where_there_is_too_little_to_judge() -> None:
    said = verdict(ERRORS, given_up=20, answered=0)
    assert said.outcome == "inconclusive"
    assert [reason.split(" canary")[0] for reason in said.reasons] == ["errors: 0 of 0", "600 of 600"]


def test_who_asks_for_hanging_has_it_judged_and_weighs_it() -> None:
    light = Question(Metric("hanging", weight=0.01), "hanging")
    observation = Observation([ERRORS, light], "v2", "v1")
    given_up = Increment({"v2": Tally(20, 0), "v1": Tally(180, 0)}, ended={"v2": Tally(25, 5), "v1": Tally(180, 0)})
    for _look in range(30):
        observation.add(given_up, seconds=1.0)
    assert observation.verdict().outcome == "pass"


def test_that_callers_give_up_is_remembered_from_step_to_step() -> None:
    evidence = seen(ERRORS, looks=2, given_up=2).evidence()
    after = Observation([ERRORS], "v2", "v1", evidence)
    assert after.evidence()["given up.rate"] == evidence["given up.rate"]
    assert seen(ERRORS, HANGING, looks=2).evidence().keys().isdisjoint({"given up.rate"})
