# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification of reports: every change is found and named."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import checksum, record
from support.rollout_results import PROMOTED, ROLLED_BACK, report_after

REPORT = report_after(*ROLLED_BACK)


def report_with(**fields: t.Any) -> dict[str, t.Any]:
    return {**copy.deepcopy(REPORT), **fields}


@pytest.mark.parametrize("report", [report_after(), report_after(*ROLLED_BACK), report_after(*PROMOTED)])
def test_a_report_from_its_file_is_verified(report: dict[str, t.Any]) -> None:
    read = json.loads(json.dumps(report, indent=4, sort_keys=True))
    assert read["verified"]
    assert checksum.tampered(read) == []
    assert checksum.tampered(read, read["head"]) == []
    assert checksum.tampered(read, read["head"][:12]) == []


@pytest.mark.parametrize("name", sorted(set(REPORT) - set(checksum.UNHASHED)))
def test_every_part_has_a_checksum(name: str) -> None:
    value = REPORT[name]
    other = {**value, "x": 1} if isinstance(value, dict) else [*value, {}] if isinstance(value, list) else f"{value}1"
    if name == "failed_requests":
        other = 0
    assert f"{name}: it was changed" in checksum.tampered(report_with(**{name: other}))
    without = {key: value for key, value in REPORT["checksums"].items() if key != name}
    assert f"{name}: it was added" in checksum.tampered(report_with(checksums=without))


def test_with_a_key_only_its_owner_writes_a_report() -> None:
    plain = {name: value for name, value in REPORT.items() if name not in checksum.UNHASHED}
    verified = {"verified": True, "first_tampered": None, "tampered": []}
    signed = checksum.checksummed({**plain, **verified}, "from the vault")
    assert checksum.tampered(signed, key="from the vault") == []
    rewritten = checksum.checksummed({**signed, "weights": {"v2": 1.0}}, "a guess")
    assert checksum.tampered(rewritten) == [], "without the key it is a checksum and no more"
    assert checksum.tampered(rewritten, key="from the vault") == ["signature: it was not made with this key"]
    assert checksum.tampered({**rewritten, "signature": signed["signature"]}, key="from the vault") != []
    assert checksum.tampered(REPORT, key="from the vault")[0].startswith("signature: there is none")


def test_a_removed_part_is_named() -> None:
    report = report_with()
    del report["weights"]
    assert checksum.tampered(report) == ["weights: it was removed"]


def test_a_changed_entry_breaks_the_hash_chain() -> None:
    report = report_with()
    report["events"][1]["reason"] = "nothing to see here"
    assert checksum.tampered(report)[0] == "events: the hashes do not match from entry 2 on"


def test_missing_last_entries_are_found() -> None:
    cut = report_with(events=REPORT["events"][:-1])
    assert record.first_tampered(cut["events"]) is None
    (contradiction, checksummed) = checksum.tampered(cut)
    assert "entries are missing at the end" in contradiction
    assert checksummed == "events: it was changed"


def test_contradictions_in_a_record_are_found_without_checksums() -> None:
    plain = {name: value for name, value in REPORT.items() if name not in checksum.UNHASHED}
    assert checksum.record_inconsistencies(plain) == []
    assert checksum.record_inconsistencies({**plain, "events": plain["events"][:-1]})
    assert checksum.record_inconsistencies({**plain, "reason": "all was well"})
    assert checksum.record_inconsistencies({**plain, "plan": {**plain["plan"], "canary": "v9"}}) == [
        "plan: it does not match plan_hash"
    ]
    other = {**plain["plan"], "canary": "v9"}
    assert checksum.record_inconsistencies({**plain, "plan": other, "plan_hash": record.plan_hash(other)}) == [
        "plan: it is not the plan that the audit log begins with"
    ]
    assert checksum.record_inconsistencies({**plain, "failed_requests": 0}) == [
        "failed_requests: it is not the sum of the entries in the audit log"
    ]


def test_a_rewritten_report_does_not_match_the_printed_head() -> None:
    forged = checksum.checksummed({**REPORT, "service": "another"})
    assert checksum.tampered(forged) == []
    (said,) = checksum.tampered(forged, REPORT["head"])
    assert said.startswith("head: the report's is ")
    assert checksum.tampered(REPORT, REPORT["head"][:4]), "four digits prove nothing"


def test_wrong_and_missing_checksums_are_found() -> None:
    assert "head: it is not the hash of the checksums" in checksum.tampered(report_with(head="0" * 64))
    old = {name: value for name, value in REPORT.items() if name not in ("checksums", "head")}
    assert [said.partition(":")[0] for said in checksum.tampered(old)] == ["checksums"]
