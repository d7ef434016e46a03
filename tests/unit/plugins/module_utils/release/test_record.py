# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a release: what was written is read again, and anything else is refused with a way out."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.release import record
from ansible_collections.meshops.canary.plugins.module_utils.release.data import Entry, Release

RELEASE = Release("shop-42", "shop", (Entry("ratings", "shop", "v1", "v2", {}),), (100,), ("pilot",), ticket="OPS-1")
BEGUN = record.first(RELEASE, "berlin", "pilot", 100.0)
WHERE = "ConfigMap shop/canary-release-shop-42"


def test_what_was_written_is_read_again() -> None:
    moved = BEGUN.moved("rolling_back", 200.0, "2026-01-01T00:00:00Z", "ada", "ratings failed")
    assert record.parse(record.dump(moved), WHERE) == moved
    assert (moved.phase, moved.since, moved.ticket, moved.waves) == ("rolling_back", 200.0, "OPS-1", ("pilot",))
    assert moved.moved("rolling_back", 300.0, "", "", "again").since == 200.0, "a phase begins once"


def test_it_stays_small() -> None:
    grown = BEGUN
    for number in range(record.MAX_ENTRIES + 50):
        grown = grown.moved("shifting", 0.0, "", "", f"{number} " + "x" * 9999)
    assert len(grown.decided) == record.MAX_ENTRIES
    assert grown.decided[-1]["reason"].startswith(str(record.MAX_ENTRIES + 49))
    assert len(record.dump(grown)) < 200_000


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "won"},
        {"phase": ["shifted"]},
        {"since": "yesterday"},
        {"waves": 4},
        {"rollouts": []},
        {"rollouts": {"a": 1}},
        {"decided": [{"at": "x"}]},
        {"name": None},
    ],
)
def test_anything_else_is_refused(change: dict[str, t.Any]) -> None:
    stored = {**json.loads(record.dump(BEGUN)), **change}
    with pytest.raises(Refused, match=f"{WHERE} should have the record of a release, .*Inspect it"):
        record.parse(json.dumps(stored), WHERE)


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "null", "not json", "[" * 100_000])
def test_text_that_is_no_record_is_refused(text: t.Any) -> None:
    with pytest.raises(Refused, match="not readable"):
        record.parse(text, WHERE)
