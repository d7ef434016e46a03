# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a report is as it was written: every edit is found and named, whatever it is an edit of."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import record, seal
from support.told import PROMOTED, TAKEN_BACK, told

REPORT = told(*TAKEN_BACK)


def edited(**fields: t.Any) -> dict[str, t.Any]:
    return {**copy.deepcopy(REPORT), **fields}


@pytest.mark.parametrize("report", [told(), told(*TAKEN_BACK), told(*PROMOTED)])
def test_a_report_from_its_file_is_as_it_was_written(report: dict[str, t.Any]) -> None:
    read = json.loads(json.dumps(report, indent=4, sort_keys=True))
    assert read["intact"]
    assert seal.altered(read) == []
    assert seal.altered(read, read["head"]) == []
    assert seal.altered(read, read["head"][:12]) == []


@pytest.mark.parametrize("name", sorted(set(REPORT) - set(seal.FOUND)))
def test_every_part_is_sealed(name: str) -> None:
    value = REPORT[name]
    other = {**value, "x": 1} if isinstance(value, dict) else [*value, {}] if isinstance(value, list) else f"{value}1"
    if name == "harmed":
        other = 0
    assert f"{name}: it was edited" in seal.altered(edited(**{name: other}))
    without = {key: value for key, value in REPORT["seals"].items() if key != name}
    assert f"{name}: it was added" in seal.altered(edited(seals=without))


def test_what_was_taken_away_is_named() -> None:
    report = edited()
    del report["weights"]
    assert seal.altered(report) == ["weights: it was taken away"]


def test_an_entry_in_the_middle_is_found_by_the_chain() -> None:
    report = edited()
    report["events"][1]["reason"] = "nothing to see here"
    assert seal.altered(report)[0] == "events: from entry 2 on the hashes do not follow"


def test_a_tail_that_was_cut_is_found() -> None:
    cut = edited(events=REPORT["events"][:-1])
    assert record.first_altered(cut["events"]) is None
    (contradiction, sealed) = seal.altered(cut)
    assert "entries are missing at the end" in contradiction
    assert sealed == "events: it was edited"


def test_a_stored_record_contradicts_itself_without_any_seal() -> None:
    bare = {name: value for name, value in REPORT.items() if name not in seal.FOUND}
    assert seal.of_record(bare) == []
    assert seal.of_record({**bare, "events": bare["events"][:-1]})
    assert seal.of_record({**bare, "reason": "all was well"})
    assert seal.of_record({**bare, "plan": {**bare["plan"], "canary": "v9"}}) == [
        "plan: it is not the one that its hash was made of"
    ]
    other = {**bare["plan"], "canary": "v9"}
    assert seal.of_record({**bare, "plan": other, "plan_hash": record.plan_hash(other)}) == [
        "plan: it is not the one that the trail began with"
    ]
    assert seal.of_record({**bare, "harmed": 0}) == ["harmed: it is not the sum of what the trail says"]


def test_a_report_written_anew_as_a_whole_is_found_by_the_head_that_was_printed() -> None:
    forged = seal.sealed({**REPORT, "service": "another"})
    assert seal.altered(forged) == []
    (said,) = seal.altered(forged, REPORT["head"])
    assert said.startswith("head: the report's is ")
    assert seal.altered(REPORT, REPORT["head"][:4]), "four digits prove nothing"


def test_seals_that_do_not_fit_the_head_and_seals_that_are_gone() -> None:
    assert "head: it is not the hash over the seals" in seal.altered(edited(head="0" * 64))
    old = {name: value for name, value in REPORT.items() if name not in ("seals", "head")}
    assert [said.partition(":")[0] for said in seal.altered(old)] == ["seals"]
