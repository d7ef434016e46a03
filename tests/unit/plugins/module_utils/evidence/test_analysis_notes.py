# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What canary_analysis says of requests that it could not give to either version."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview
from support import ambient_defects, reviews

SIDES = {"canary": "v2", "stable": "v1"}


def test_versions_without_routes_are_noted() -> None:
    (note,) = analysis._unknown_version_notes({"1.17": 40, "v1": 900, "": 3, "1.16": 0}, {"v1", "v2"}, SIDES)
    assert note.startswith(
        "Requests were counted for versions that the routes do not have, 1.17 (40), and none for v2."
    )


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        ({"v1": 900, "v2": 100, "v0": 5}, {"v1", "v2"}),
        ({"v1": 900, "": 5}, {"v1", "v2"}),
        ({"v1": 900, "v3": 5}, {"v1", "v2", "v3"}),
        ({"x": 900}, set()),
    ],
)
def test_known_versions_and_complete_counts_have_no_note(seen: dict[str, int], known: set[str]) -> None:
    assert analysis._unknown_version_notes(seen, known, SIDES) == []


def test_failures_without_a_version_are_noted() -> None:
    assert analysis._unattributed_notes(0) == []
    assert analysis._unattributed_notes(3) == [
        "3 requests failed or were canceled, and the counters name no version for them."
    ]


def test_ambient_pods_without_a_waypoint_are_noted_as_not_judged() -> None:
    service, lists = ServiceRef("reviews", reviews.NAMESPACE), reviews.healthy()
    assert overview.ambient_notes(Snapshot(**lists), service) == []
    taken = {"annotations": {"ambient.istio.io/redirection": "enabled"}}
    lists["pods"][-1] = reviews.changed(lists["pods"][-1], metadata=taken)
    assert overview.ambient_notes(Snapshot(**lists), service) == [], "the caller alone"
    lists["pods"][0] = reviews.changed(lists["pods"][0], metadata=taken)
    (note,) = overview.ambient_notes(Snapshot(**lists), service)
    assert "is in ambient mode and has no waypoint: requests of callers in ambient mode are not counted" in note
    assert overview.ambient_notes(Snapshot(), service) == []
    ambient_defects.ambient_with_waypoint(lists)
    assert overview.ambient_notes(Snapshot(**lists), service) == []
    ambient_defects.ambient_gateways_through_the_waypoint(lists)
    (note,) = overview.ambient_notes(Snapshot(**lists), service)
    assert "In Prometheus only the counters of the waypoint are read" in note
