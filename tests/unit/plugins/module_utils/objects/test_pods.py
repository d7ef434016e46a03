# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods a subset of a Service selects: the Service's selector and the subset's labels, both."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import pods, workloads
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.metadata import identity
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from support import preflight_defects as defects
from support import reviews

REVIEWS = ServiceRef("reviews", "bookinfo")


def snapshot() -> Snapshot:
    lists = reviews.healthy()
    lists["pods"].append(reviews.pod("next-a", {"app": "reviews-next", "version": "v3"}))
    lists["deployments"].append(reviews.deployment("next-v3", 1))
    return Snapshot(**lists)


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ({"version": "v2"}, ["reviews-v2-a"]),
        ({"app": "reviews", "version": "v2"}, ["reviews-v2-a"]),
        ({"app": "reviews-next"}, []),
        ({"app": "reviews-next", "version": "v2"}, []),
        ({"version": "v3"}, []),
        ({}, ["reviews-v1-a", "reviews-v1-b", "reviews-v1-c", "reviews-v2-a"]),
    ],
)
def test_the_selector_and_the_labels_must_both_fit(labels: dict[str, str], selected: list[str]) -> None:
    found = pods.of_service(snapshot(), REVIEWS, labels)
    assert found is not None
    assert [identity(one)[1] for one in found] == selected


def test_a_deployment_must_fit_both_too() -> None:
    lists = snapshot()
    assert workloads.deployments_of(lists, REVIEWS, {"app": "next"}) == []
    found = workloads.deployments_of(lists, REVIEWS, {"version": "v2"})
    assert found is not None
    assert [identity(one)[1] for one in found] == ["reviews-v2"]


def test_without_selector_and_labels_nothing_fits() -> None:
    other = ServiceRef("none", "bookinfo")
    assert pods.of_service(snapshot(), other, {}) == []


def test_a_contradiction_is_named() -> None:
    (sentence,) = pods.contradictions(snapshot(), REVIEWS, {"app": "reviews-next", "version": "v2"})
    assert sentence == "app=reviews-next contradicts the selector app=reviews of Service bookinfo/reviews"


def test_a_subset_that_contradicts_the_selector_is_refused_with_the_label() -> None:
    lists: dict[str, t.Any] = reviews.healthy()
    lists["destination_rules"][0]["spec"]["subsets"].append({"name": "next", "labels": {"app": "reviews-next"}})
    lists["pods"].append(reviews.pod("next-a", {"app": "reviews-next", "version": "v3"}))
    findings = defects.inspect_weights(lists, {"v1": 50, "next": 50})
    assert defects.codes(findings)[0] == "SUBSET_NOT_READY"
    assert "app=reviews-next contradicts the selector app=reviews of Service bookinfo/reviews" in findings[0].reason
    lists["virtual_services"][0]["spec"]["http"][0]["route"].append(reviews.destination("next", 0))
    (note,) = defects.inspect(lists)
    assert note.code == "SUBSET_SELECTS_NO_POD"
    assert "contradicts" in note.reason
