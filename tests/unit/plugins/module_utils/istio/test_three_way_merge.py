# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Destinations are restored as if our edit had never been made, and edits of others stay."""

from __future__ import annotations

import json
import typing as t
from fractions import Fraction

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.istio import three_way_merge

if t.TYPE_CHECKING:
    from support import route_strategies as rs


def entry(subset: str, weight: int | None = None, host: str = "reviews", **more: t.Any) -> rs.Json:
    return {"destination": {"host": host, "subset": subset}, **({} if weight is None else {"weight": weight}), **more}


@pytest.mark.parametrize(
    ("before", "ours", "current", "given_back"),
    [
        # untouched since
        ([entry("v1")], [entry("v1", 90), entry("v2", 10)], [entry("v1", 90), entry("v2", 10)], [entry("v1")]),
        # somebody added a header to one entry
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90, headers={"request": {}}), entry("v2", 10)],
            [entry("v1", 100, headers={"request": {}})],
        ),
        # somebody changed the weights
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 50), entry("v2", 50)],
            [entry("v1", 50), entry("v2", 50)],
        ),
        # somebody removed our version
        ([entry("v1", 100)], [entry("v1", 90), entry("v2", 10)], [entry("v1", 90)], [entry("v1", 90)]),
        # somebody removed one that was at 0
        ([entry("v1", 50), entry("v2", 50)], [entry("v1", 100), entry("v2", 0)], [entry("v1", 100)], [entry("v1", 50)]),
        # somebody added a host beside our weights: its share stays
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90), entry("v2", 10), entry("x", 25, "legacy")],
            [entry("v1", 100), entry("x", 25, "legacy")],
        ),
        # the same where our weights have another sum
        (
            [entry("v1", 100)],
            [entry("v1", 999), entry("v2", 1)],
            [entry("v1", 999), entry("v2", 1), entry("x", 250, "legacy")],
            [entry("v1", 100), entry("x", 25, "legacy")],
        ),
        # somebody added a host at 0
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90), entry("v2", 10), entry("x", 0, "legacy")],
            [entry("v1", 100), entry("x", 0, "legacy")],
        ),
    ],
)
def test_destinations_are_restored_after_edits_of_others(
    before: list[rs.Json], ours: list[rs.Json], current: list[rs.Json], given_back: list[rs.Json]
) -> None:
    restored = three_way_merge.restore(
        before, ours, current, lambda one: "reviews" if one["destination"]["host"] == "reviews" else ""
    )
    shares = {json.dumps(one["destination"]): one.get("weight") for one in restored}
    wanted = {json.dumps(one["destination"]): one.get("weight") for one in given_back}
    total, wanted_total = sum(w or 0 for w in shares.values()), sum(w or 0 for w in wanted.values())
    assert [{**one, "weight": 0} for one in restored] == [{**one, "weight": 0} for one in given_back]
    if total:
        assert {key: Fraction(w or 0, total) for key, w in shares.items()} == {
            key: Fraction(w or 0, wanted_total) for key, w in wanted.items()
        }
    else:
        assert shares == wanted
