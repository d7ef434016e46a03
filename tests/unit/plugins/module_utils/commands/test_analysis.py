# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What canary_analysis refuses before it asks anybody, and that it waits for whatever a plan may wait for."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import analysis
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import LONGEST_WAIT, steps_from

NO_CLUSTER = {"kubeconfig": "/nowhere/kubeconfig"}


def run(**options: t.Any) -> None:
    """Run the command without a cluster: what is not refused fails for that."""
    given = {"service": "reviews", "namespace": "shop", "stable": "v1", "canary": "v2", **NO_CLUSTER, **options}
    checked = ArgumentSpecValidator(analysis.SPEC.options, **analysis.SPEC.rules()).validate(given)
    assert not checked.error_messages, checked.error_messages
    analysis.run(checked.validated_parameters, check_mode=False, env={}, log=print)


@pytest.mark.parametrize(
    "asked",
    [
        {"gate": "manual", "gate_seconds": LONGEST_WAIT},
        {"gate": "timed", "gate_seconds": LONGEST_WAIT - 600},
        {"pause": LONGEST_WAIT - 1, "deadline": LONGEST_WAIT},
    ],
    ids=["a manual gate", "a timed gate", "a pause"],
)
def test_whatever_a_plan_may_wait_for_is_waited_for(asked: dict[str, t.Any]) -> None:
    step = steps_from({"steps": [{"weight": 10, **asked}]})[0]
    watches = {"manual": 1.0, "timed": step.gate_seconds, "none": step.pause}
    limit = step.deadline if step.gate == "none" else step.gate_limit
    with pytest.raises(CanaryError, match="kubeconfig"):
        run(watch=watches[step.gate], deadline=limit, approval="r1-1" if step.gate == "manual" else None)


def test_a_wait_of_more_than_a_week_is_refused() -> None:
    with pytest.raises(InvalidInput, match="deadline must be between 0 and 604800, not 604801"):
        run(deadline=604_801.0)
