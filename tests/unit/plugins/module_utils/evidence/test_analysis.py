# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an analysis refuses before it reads anything, and that it waits as long as a plan may."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, NotReady
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import MAX_WAIT_SECONDS, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context


class Unreadable:
    """A cluster that answers nothing: what is not refused before the first request fails for that."""

    def __getattr__(self, name: str) -> t.Any:
        raise NotReady(f"{name} was asked for")


def run(**options: t.Any) -> None:
    given = {"service": "reviews", "namespace": "shop", "stable": "v1", "canary": "v2", **options}
    checked = ArgumentSpecValidator(analysis.SPEC.options, **analysis.SPEC.rules()).validate(given)
    assert not checked.error_messages, checked.error_messages
    analysis.analyze(t.cast("t.Any", Unreadable()), checked.validated_parameters, Context(False, print, {}))


@pytest.mark.parametrize(
    "waits",
    [
        {"gate": "manual", "gate_seconds": MAX_WAIT_SECONDS},
        {"gate": "timed", "gate_seconds": MAX_WAIT_SECONDS - 600},
        {"pause": MAX_WAIT_SECONDS - 1, "deadline": MAX_WAIT_SECONDS},
    ],
    ids=["a manual gate", "a timed gate", "a pause"],
)
def test_any_wait_of_a_plan_is_accepted(waits: dict[str, t.Any]) -> None:
    step = steps_from({"steps": [{"weight": 10, **waits}]})[0]
    watches = {"manual": 1.0, "timed": step.gate_seconds, "none": step.pause}
    limit = step.deadline if step.gate == "none" else step.gate_limit
    with pytest.raises(NotReady, match="was asked for"):
        run(watch=watches[step.gate], deadline=limit, approval="r1-1" if step.gate == "manual" else None)


def test_a_wait_of_more_than_a_week_is_refused() -> None:
    with pytest.raises(InvalidInput, match="deadline must be between 0 and 604800, not 604801"):
        run(deadline=604_801.0)
