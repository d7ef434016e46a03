# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer to a manual gate, as the Service has it, and how often it is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis
from ansible_collections.meshops.canary.plugins.module_utils.evidence.gate_answers import READ_EVERY, ApprovalReader
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE, REJECT, answer, ticket
from ansible_collections.meshops.canary.plugins.module_utils.rollout.parsing import parse_run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.rollout.transitions import judged_again
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context

TICKET = "5f0c2a91-2"


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({}, None),
        ({APPROVE: TICKET}, "approved"),
        ({REJECT: TICKET}, "rejected"),
        ({APPROVE: TICKET, REJECT: TICKET}, "rejected"),
        ({APPROVE: "5f0c2a91-1", REJECT: "1234abcd-2"}, None),
        ({APPROVE: TICKET, REJECT: "5f0c2a91-1"}, "approved"),
    ],
)
def test_only_an_annotation_with_the_ticket_is_an_answer(annotations: dict[str, str], said: str | None) -> None:
    assert answer(annotations, TICKET) == said


def test_an_answer_to_an_earlier_ticket_does_not_count() -> None:
    first = Run("5f0c2a91", "reviews", "shop", "abc", "gated", 1, 1000.0, {}, {}, gates=1)
    later = first.after("approved", 1100.0).after("ready", 1101.0).after("shifted", 1102.0).after("pass", 1200.0)
    assert (ticket(first), later.phase, later.at) == ("5f0c2a91-2-1", "gated", 1)
    assert answer({APPROVE: ticket(first)}, ticket(later)) is None
    plan = Rollout("reviews", "shop", "v1", "v2", (Step(10.0), Step(50.0, gate="manual")))
    resumed = judged_again(plan, parse_run(first.dump()), {"v1": 50.0, "v2": 50.0}, 1300.0)
    assert resumed.phase == "observing"
    assert answer({APPROVE: ticket(first)}, ticket(resumed.after("pass", 1400.0))) == "approved"


class Cluster:
    """Returns what the test set, one after the other; an error is raised. requested: what was read."""

    def __init__(self, *found: t.Any) -> None:
        self.found = list(found)
        self.requested: list[tuple[str, str]] = []

    def get(self, resource: t.Any, namespace: str, name: str) -> dict[str, t.Any] | None:
        assert resource.kind == "Service"
        self.requested.append((namespace, name))
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return t.cast("dict[str, t.Any] | None", found)


def said_by(cluster: Cluster, steps: int) -> list[str | None]:
    """Read the answer twice as often as the Service is read."""
    now = [0.0]
    approval = ApprovalReader(t.cast("t.Any", cluster), ServiceRef("reviews", "shop"), TICKET, clock=lambda: now[0])
    said: list[str | None] = []
    for _step in range(steps):
        try:
            said.append(approval())
        except CanaryError as error:
            said.append(error.msg)
        now[0] += READ_EVERY / 2
    return said


def test_the_service_is_read_every_few_seconds() -> None:
    cluster = Cluster({}, {"metadata": {}}, {"metadata": {"annotations": {APPROVE: TICKET}}})
    assert said_by(cluster, 6) == [None, None, None, None, "approved", None]
    assert cluster.requested == [("shop", "reviews")] * 3


def test_a_failed_reading_is_no_answer_yet_at_no_time() -> None:
    """Between two readings a failure stands as it was: else it would look as if nobody had answered."""
    refused = ApiError("Reading Service shop/reviews was refused (401).", 401)
    assert said_by(Cluster({}, refused, {}), 6) == [None, None, refused.msg, refused.msg, None, None]


def test_a_service_that_is_gone_cannot_be_answered_at() -> None:
    missing = "The Service shop/reviews does not exist, and the answer is an annotation on it."
    assert said_by(Cluster(None, {}), 4) == [missing, missing, None, None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"approval": " "}, "approval is empty"),
        ({"approval": TICKET, "window": 60.0}, "approval has no effect in the past"),
    ],
)
def test_an_invalid_approval_is_refused_before_anything_is_read(options: dict[str, t.Any], words: str) -> None:
    given = {name: spec.get("default") for name, spec in analysis.SPEC.options.items()}
    with pytest.raises(InvalidInput, match=words):
        analysis.analyze(
            t.cast("t.Any", None),
            {**given, "service": "reviews", "stable": "v1", "canary": "v2", **options},
            Context(False, print, {}),
        )
