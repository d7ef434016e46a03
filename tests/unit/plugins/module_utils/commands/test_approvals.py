# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer to a manual gate, as the Service has it, and how often it is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import analysis
from ansible_collections.meshops.canary.plugins.module_utils.commands.approvals import ASK_EVERY, Approval
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE, REJECT, answer, ticket
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run, load
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef

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
def test_only_what_names_the_ticket_is_an_answer(annotations: dict[str, str], said: str | None) -> None:
    assert answer(annotations, TICKET) == said


def test_a_gate_that_is_met_again_asks_again() -> None:
    first = Run("5f0c2a91", "reviews", "shop", "abc", "gated", 1, 1000.0, {}, {})
    later = first.after("approved", 1100.0).after("ready", 1101.0).after("shifted", 1102.0).after("pass", 1200.0)
    assert (ticket(first), later.phase, later.at) == ("5f0c2a91-2-1000", "gated", 1)
    assert answer({APPROVE: ticket(first)}, ticket(later)) is None
    killed = load(first.dump())
    assert answer({APPROVE: ticket(first)}, ticket(killed)) == "approved"


def test_the_service_is_read_every_few_seconds_and_may_be_gone() -> None:
    asked: list[tuple[str, str]] = []
    now = [0.0]
    found: list[dict[str, t.Any] | None] = [None, {"metadata": {}}, {"metadata": {"annotations": {APPROVE: TICKET}}}]

    class Cluster:
        def get(self, resource: t.Any, namespace: str, name: str) -> dict[str, t.Any] | None:
            assert resource.kind == "Service"
            asked.append((namespace, name))
            return found[len(asked) - 1]

    approval = Approval(t.cast("t.Any", Cluster()), ServiceRef("reviews", "shop"), TICKET, clock=lambda: now[0])
    said = []
    for _step in range(6):
        said.append(approval())
        now[0] += ASK_EVERY / 2
    assert said == [None, None, None, None, "approved", None]
    assert asked == [("shop", "reviews")] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [({"approval": " "}, "approval is empty"), ({"approval": TICKET, "window": 60.0}, "approval: nobody can be asked")],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_read(options: dict[str, t.Any], words: str) -> None:
    given = {name: spec.get("default") for name, spec in analysis.SPEC.options.items()}
    with pytest.raises(InvalidInput, match=words):
        analysis.run(
            {**given, "service": "reviews", "stable": "v1", "canary": "v2", **options},
            check_mode=False,
            env={},
            log=print,
        )
