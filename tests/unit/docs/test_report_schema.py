# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of the report describes what is really written, and refuses what is not a report."""

from __future__ import annotations

import json
import typing as t

import jsonschema
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.state_machine import PHASES
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Step
from support.collection import ROOT
from support.rollout_results import PROMOTED, ROLLED_BACK, report_after

SCHEMA = json.loads((ROOT / "docs" / "rollout-report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("events", [(), ROLLED_BACK, PROMOTED])
def test_what_is_written_is_valid(events: t.Any) -> None:
    VALIDATOR.check_schema(SCHEMA)
    report = json.loads(json.dumps(report_after(*events)))
    assert [error.message for error in VALIDATOR.iter_errors(report)] == []
    assert set(SCHEMA["required"]) == set(report) == set(SCHEMA["properties"])


def test_a_cohort_and_a_step_of_0_percent_are_valid() -> None:
    steps = (Step(0.0, cohort=({"headers": {"end-user": {"exact": "testuser"}}},)), Step(100.0))
    report = json.loads(json.dumps(report_after(*PROMOTED, steps=steps)))
    assert [error.message for error in VALIDATOR.iter_errors(report)] == []
    report["plan"]["steps"][0]["cohort"] = {"headers": {}}
    assert list(VALIDATOR.iter_errors(report)), "it is a list of matches"


def test_its_phases_are_the_machines() -> None:
    assert tuple(SCHEMA["$defs"]["phase"]["enum"]) == PHASES


@pytest.mark.parametrize(
    "wrong",
    [
        {"phase": "done"},
        {"failed_requests": -1},
        {"weights": {"v1": 101.0}},
        {"events": [{"event": "opened"}]},
        {"head": "short"},
        {"plan": {"steps": []}},
        {"another": 1},
    ],
)
def test_what_is_no_report_is_refused(wrong: dict[str, t.Any]) -> None:
    assert list(VALIDATOR.iter_errors({**report_after(*ROLLED_BACK), **wrong}))
