# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event at the end of a step, and at the end of its gate."""

from __future__ import annotations

import time
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import gate_answers
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout import approval
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE, REJECT, ticket
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import judging
from ansible_collections.meshops.canary.plugins.module_utils.runs.judging import Judging
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context, Terminal

NOW = 1000.0
PASS: dict[str, t.Any] = {"verdict": "pass", "reasons": ["errors: 0 of 598 failed"]}
FAIL: dict[str, t.Any] = {"verdict": "fail", "reasons": ["errors: 11 of 21 failed"]}
UNDECIDED: dict[str, t.Any] = {"verdict": "inconclusive", "reasons": ["errors: 3 requests", "p95: none"]}
NO_VERDICT = "no verdict before the deadline: errors: 3 requests; p95: none"
NO_ANSWER = "no answer before the deadline"


class Cluster:
    """A Service with annotations. fails: how many requests fail before."""

    def __init__(self, annotations: dict[str, str] | None = None, fails: int = 0) -> None:
        self.annotations, self.fails = annotations or {}, fails

    def get(self, *_path: t.Any) -> dict[str, t.Any]:
        if self.fails:
            self.fails -= 1
            raise ApiError("no answer", None)
        return {"metadata": {"annotations": self.annotations}}


class Judged(Judging):
    """Step 1 of 2, in a phase that began `seconds` ago. sentences: what was shown. selected: options of the task."""

    def __init__(
        self,
        step: Step,
        phase: str,
        *,
        seconds: float = 0.0,
        cluster: Cluster | None = None,
        rollback: bool = False,
        selected: dict[str, str] | None = None,
    ) -> None:
        weights = {"v1": 90.0, "v2": 10.0}
        self.run = Run("4711", "reviews", "shop", "abc", t.cast("t.Any", phase), 0, NOW - seconds, weights, weights)
        rollout = Rollout("reviews", "shop", "v1", "v2", (step, Step(100.0)))
        session = SimpleNamespace(rollout=rollout, run=self.run, now=lambda: NOW)
        self.sentences: list[str] = []
        context = Context(False, self.sentences.append, {}, terminal=Terminal(rollback_requested=lambda: rollback))
        shown = SimpleNamespace(tell=self.sentences.append)
        params = {"approval": "annotation", **(selected or {})}
        given = (cluster or Cluster(), ServiceRef("reviews", "shop"), session, params, context, shown)
        super().__init__(*t.cast("t.Any", given))


@pytest.mark.parametrize(
    ("step", "result", "event"),
    [
        (Step(10.0), PASS, ("pass", PASS, "")),
        (Step(10.0), FAIL, ("fail", FAIL, "")),
        (Step(10.0), UNDECIDED, ("deadline", UNDECIDED, NO_VERDICT)),
        (Step(10.0, analysis=False), {}, ("pass", None, "")),
    ],
)
def test_a_step_ends_with_its_verdict_and_without_one_as_at_its_deadline(
    step: Step, result: dict[str, t.Any], event: tuple[t.Any, ...]
) -> None:
    assert Judged(step, "observing").verdict_event(result) == event


def test_no_result_is_no_success() -> None:
    assert Judged(Step(10.0), "observing").verdict_event({})[0] == "deadline"
    assert Judged(Step(10.0, gate="timed"), "gated").gate_event({}, "")[0] == "deadline"


TIMED, UNWATCHED = Step(10.0, gate="timed"), Step(10.0, gate="timed", analysis=False)
MANUAL = Step(10.0, gate="manual")


@pytest.mark.parametrize(
    ("step", "result", "answer", "event"),
    [
        (TIMED, PASS, "", ("approved", PASS, "")),
        (TIMED, FAIL, "", ("fail", FAIL, "")),
        (TIMED, UNDECIDED, "", ("deadline", UNDECIDED, NO_VERDICT)),
        (UNWATCHED, {}, "", ("approved", None, "")),
        (MANUAL, {}, "approved", ("approved", None, "")),
        (MANUAL, {"answer": "approved"}, "", ("approved", None, "")),
        (MANUAL, {"answer": "rejected"}, "", ("rejected", None, "rejected at the gate")),
        (MANUAL, {"answer": ""}, "", ("deadline", None, NO_ANSWER)),
        (MANUAL, {}, "", ("deadline", None, NO_ANSWER)),
        (MANUAL, {**UNDECIDED, "answer": "approved"}, "", ("approved", {**UNDECIDED, "answer": "approved"}, "")),
        (MANUAL, {**PASS, "answer": None}, "", ("deadline", {**PASS, "answer": None}, NO_ANSWER)),
        (MANUAL, {**FAIL, "answer": "approved"}, "", ("fail", {**FAIL, "answer": "approved"}, "")),
        (MANUAL, FAIL, "approved", ("fail", FAIL, "")),
    ],
)
def test_a_failure_ends_a_gate_and_a_verdict_alone_opens_no_manual_one(
    step: Step, result: dict[str, t.Any], answer: str, event: tuple[t.Any, ...]
) -> None:
    assert Judged(step, "gated").gate_event(result, answer) == event


@pytest.mark.parametrize(
    ("step", "phase", "left"),
    [
        (Step(10.0, deadline=600.0), "observing", 590.0),
        (Step(10.0, gate="manual", gate_seconds=60.0), "gated", 50.0),
        (Step(10.0, gate="timed", gate_seconds=60.0, deadline=600.0), "gated", 650.0),
        (Step(10.0, pause=1.0, deadline=5.0), "observing", 0.0),
    ],
)
def test_the_deadline_counts_from_the_beginning_of_the_phase(step: Step, phase: str, left: float) -> None:
    assert Judged(step, phase, seconds=10.0).seconds_left == left


@pytest.mark.parametrize(("verb", "answer"), [(APPROVE, "approved"), (REJECT, "rejected")])
def test_a_manual_gate_tells_how_to_answer_and_ends_with_the_annotation(verb: str, answer: str) -> None:
    step = Step(10.0, gate="manual", analysis=False)
    number = ticket(Judged(step, "gated").run)
    judged = Judged(step, "gated", cluster=Cluster({verb: number}))
    assert judged.wait_at_gate() == {"answer": answer, "answer_error": ""}
    annotate = "kubectl -n shop annotate --overwrite service reviews"
    assert judged.sentences == [
        f"To approve: {annotate} {APPROVE}={number}",
        f"To reject: {annotate} {REJECT}={number}",
    ]


def test_the_commands_of_a_gate_select_the_cluster_of_the_task() -> None:
    step = Step(10.0, gate="manual", analysis=False)
    number = ticket(Judged(step, "gated").run)
    selected = {"kubeconfig": "/etc/my clusters.yml", "context": "berlin"}
    judged = Judged(step, "gated", cluster=Cluster({APPROVE: number}), selected=selected)
    judged.wait_at_gate()
    kubectl = "kubectl '--kubeconfig=/etc/my clusters.yml' --context=berlin -n shop annotate"
    assert all(kubectl in one for one in judged.sentences), judged.sentences


def test_an_answer_that_is_known_is_not_asked_for() -> None:
    judged = Judged(Step(10.0, gate="manual"), "gated")
    assert judged.wait_at_gate("approved") == {"answer": "approved"}
    assert judged.sentences == []


def test_a_manual_gate_ends_at_its_deadline() -> None:
    judged = Judged(Step(10.0, gate="manual", analysis=False, gate_seconds=60.0), "gated", seconds=60.0)
    assert judged.wait_at_gate() == {"answer": "", "answer_error": ""}


def test_an_answer_that_cannot_be_read_at_the_deadline_is_read_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_answers, "READ_EVERY", 0.05)
    step = Step(10.0, gate="manual", analysis=False, gate_seconds=60.0)
    number = ticket(Judged(step, "gated", seconds=60.0).run)
    judged = Judged(step, "gated", seconds=60.0, cluster=Cluster({APPROVE: number}, fails=3))
    assert judged.wait_at_gate() == {"answer": "approved", "answer_error": ""}
    shown = [sentence for sentence in judged.sentences if sentence.startswith("The answer to the gate cannot be read")]
    assert shown == ["The answer to the gate cannot be read, and is read again every 0.05 s: no answer"], "once"


def test_an_answer_that_stays_unreadable_is_an_error_and_never_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_answers, "READ_EVERY", 0.05)
    monkeypatch.setattr(approval, "UNREADABLE_SECONDS", 0.2)
    step = Step(10.0, gate="manual", analysis=False, gate_seconds=60.0, gate_default="continue")
    judged = Judged(step, "gated", seconds=60.0, cluster=Cluster(fails=10_000))
    result = judged.wait_at_gate()
    assert result == {"answer": "", "answer_error": "no answer"}
    unknown = "the answer to the gate cannot be read, so it is not known whether somebody answered: no answer"
    assert judged.gate_event(result, "") == ("error", None, unknown), "it does not go on by default: it may say reject"
    watched = {**UNDECIDED, "answer": None, "answer_error": "no answer"}
    assert judged.gate_event(watched, "") == ("error", watched, unknown)


def test_an_answer_that_cannot_be_read_is_no_answer() -> None:
    judged = Judged(Step(10.0, gate="manual"), "gated", cluster=Cluster(fails=1))
    assert judged.annotated_answer() == ""
    assert judged.sentences == ["The answer to the gate cannot be read, and is read again every 2 s: no answer"]


def test_a_rollback_that_is_requested_at_the_terminal_ends_a_wait() -> None:
    began = time.monotonic()
    step = Step(10.0, analysis=False, pause=60.0)
    assert Judged(step, "observing", rollback=True).pause() == {}
    assert Judged(Step(10.0, gate="manual", analysis=False), "gated", rollback=True).wait_at_gate() == {
        "answer": "",
        "answer_error": "",
    }
    assert time.monotonic() - began < 5


def test_a_wait_is_heard_at_least_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]

    def sleep(some: float) -> None:
        seconds[0] += some

    monkeypatch.setattr(judging.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(judging.time, "sleep", sleep)
    judged = Judged(Step(50.0, pause=300.0, analysis=False), "observing")
    judged.pause()
    assert len(judged.sentences) >= 300 / 60
    assert judged.sentences[0] == "No analysis | 30 s of 300 s"
    gate = Judged(Step(50.0, gate="manual", gate_seconds=300.0, analysis=False), "gated")
    gate.wait_at_gate()
    waiting = [one for one in gate.sentences if one.startswith("Waiting for an answer at the gate | ")]
    assert len(waiting) >= 300 / 60
