# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of canary_rollout that are refused before anything is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout.phases import RETURN_POINTS
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context

GIVEN = {"service": "reviews", "namespace": "shop", "state": "promoted", "stable": "v1", "canary": "v2"}


def checked(**options: t.Any) -> t.Any:
    given = {name: value for name, value in {**GIVEN, **options}.items() if value is not None}
    return ArgumentSpecValidator(rollout.SPEC.options, **rollout.SPEC.rules()).validate(given)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lease_seconds": 9}, "lease_seconds must be between 10 and 604800, not 9"),
        ({"retire_after": -1}, "retire_after must be between 0"),
        ({"drain": 604801}, "drain must be between 0"),
        ({"headroom": 0.9}, "headroom must be between 1"),
        ({"capacity_timeout": -1}, "capacity_timeout must be between 0"),
    ],
)
def test_a_number_out_of_range_is_refused(options: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        rollout.run(checked(**options).validated_parameters, Context(False, print, {}))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"canary": None}, "canary"),
        ({"steps": [10], "shape": "linear"}, "mutually exclusive"),
        ({"return_at": ["after"]}, "return_at"),
        ({"answer": "yes"}, "answer"),
        ({"state": "opened"}, "promoted, rolled_back, present"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_their_specification(options: dict[str, t.Any], reason: str) -> None:
    (message,) = checked(**options).error_messages
    assert reason in message


def test_every_return_point_is_an_option_and_stable_may_be_missing() -> None:
    assert checked(stable=None, return_at=list(RETURN_POINTS)).error_messages == []
