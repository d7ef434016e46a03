# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said when a split is wrong."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import causes
from ansible_collections.meshops.canary.plugins.module_utils.analysis.causes import SplitContext
from ansible_collections.meshops.canary.plugins.module_utils.findings import Finding

WANTED = {"v1": 90.0, "v2": 10.0}
WRONG = {"v1": 1500, "v2": 500}


def likely_causes(counts: dict[str, int] | None = None, **known: t.Any) -> list[str]:
    return causes.likely_causes(counts or WRONG, WANTED, SplitContext(**known), alpha=0.001)


def test_there_is_always_a_cause() -> None:
    (last_resort,) = likely_causes()
    assert "istioctl proxy-config routes" in last_resort


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"outside": 400}, "A caller outside the mesh"),
        ({"ready": {"v1": 3, "v2": 1}}, "The counts fit the ready pods (v1 3, v2 1)"),
        ({"cohorts": ["testers"]}, "cohort testers are counted too"),
        ({"mirrored": ["v2"]}, "Copies mirrored to v2"),
        ({"sticky": True}, "The routes are sticky"),
        ({"retried": {"v1": 2, "v2": 130}}, "132 of the counted attempts were retries (v1 2, v2 130)"),
        (
            {"route_retries": {"VirtualService a/b route http/0": 2}, "errors": 40},
            "40 answers were errors, and the proxies retry (VirtualService a/b route http/0 up to 2 times)",
        ),
        (
            {"findings": [Finding("HOST_CLAIMED_TWICE", "VirtualService a/b", "Both claim.")]},
            "VirtualService a/b: Both claim.",
        ),
        (
            {"by_caller": {"a/page": {"v1": 900, "v2": 100}, "b/cart": {"v1": 0, "v2": 400}}},
            "Only the requests of caller b/cart deviate, those of 1 others do not.",
        ),
    ],
)
def test_each_cause_is_returned(known: dict[str, t.Any], words: str) -> None:
    assert any(words in cause for cause in likely_causes(**known))


@pytest.mark.parametrize(
    "known",
    [
        {"outside": 3},  # within what moves between two readings
        {"outside": None},
        {"retried": {"v1": 0}},
        {"route_retries": {"VirtualService a/b route http/0": 2}},  # nothing failed
        {
            "route_retries": {"VirtualService a/b route http/0": 2},
            "errors": 40,
            "retried": {},
        },  # counted: there were none
        {"ready": {"v1": 1, "v2": 1}},  # 75 to 25 is not half and half
        {"ready": {"v1": 4, "v2": 0}},
        {"findings": [Finding("HPA_NOT_SCALING", "HPA a/b", "It says so.")]},  # does not move requests
        {"by_caller": {"a/page": {"v1": 1500, "v2": 500}}},  # all deviate alike
    ],
)
def test_circumstances_without_effect_are_no_cause(known: dict[str, t.Any]) -> None:
    assert likely_causes(**known) == likely_causes()


def test_requests_past_every_version_are_counted() -> None:
    counts = {"v1": 90, "v2": 10, causes.ALL_PODS: 20}
    assert likely_causes(counts)[0].startswith("20 of 120 requests were sent to the service as a whole")
