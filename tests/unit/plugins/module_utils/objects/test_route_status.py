# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parents of an HTTPRoute say of it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import route_status


def condition(name: str, *, status: str = "True", generation: int = 2, **more: str) -> dict[str, t.Any]:
    return {"type": name, "status": status, "observedGeneration": generation, **more}


def http_route(*conditions: dict[str, t.Any], generation: int = 2) -> dict[str, t.Any]:
    parent = {"parentRef": {"name": "front"}, "conditions": list(conditions)}
    return {"metadata": {"generation": generation}, "status": {"parents": [parent] if conditions else []}}


DENIED = condition("ResolvedRefs", status="False", reason="RefNotPermitted", message="no grant for web-v2")


def test_a_condition_that_is_false_is_quoted_with_its_reason() -> None:
    (problem,) = route_status.problems(http_route(condition("Accepted"), DENIED))
    assert problem.answers_500
    assert str(problem) == "Gateway front says ResolvedRefs=False RefNotPermitted (no grant for web-v2)"


def test_a_route_that_is_not_accepted_answers_nothing_otherwise() -> None:
    (problem,) = route_status.problems(http_route(condition("Accepted", status="False", reason="NoMatchingParent")))
    assert not problem.answers_500
    assert str(problem) == "Gateway front says Accepted=False NoMatchingParent"


@pytest.mark.parametrize(
    ("found", "current"),
    [
        (http_route(condition("Accepted"), condition("ResolvedRefs")), True),
        (http_route(condition("Accepted"), condition("ResolvedRefs", generation=1)), False),
        (http_route(condition("Accepted", generation=1), generation=1), True),
        (http_route(condition("Programmed", generation=2)), False),
        (http_route(), False),
        ({"metadata": {}}, False),
    ],
)
def test_only_what_was_said_of_this_generation_counts(found: dict[str, t.Any], current: bool) -> None:
    assert route_status.is_current(found) is current


def test_conditions_of_other_kinds_are_not_read() -> None:
    assert route_status.problems(http_route(condition("Programmed", status="False"))) == []
    assert not route_status.has_status(http_route())
