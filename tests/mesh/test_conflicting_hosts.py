# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two routing objects that claim one host: a sidecar obeys only one of them, so the modules refuse and write nothing.

This is the trap of the story as it is often told: the first VirtualService is named by a typo, the second is not.
"""

from __future__ import annotations

import typing as t

import pytest

from .conftest import assert_split, measure

if t.TYPE_CHECKING:
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

ISTIO = "networking.istio.io/v1"


def second_object(shop: Shop, host: str) -> dict[str, t.Any]:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v3"}}]}
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "revews", "namespace": shop.namespace},
        "spec": {"hosts": [host], "http": [route]},
    }


def routing(kube: Kube, shop: Shop) -> list[tuple[str, str]]:
    """Return name and resourceVersion of every routing object: whoever writes changes it."""
    kinds = ("VirtualService", "DestinationRule")
    found = [item["metadata"] for kind in kinds for item in kube.list(ISTIO, kind, shop.namespace)]
    return [(meta["name"], meta["resourceVersion"]) for meta in found]


@pytest.mark.parametrize("host", ["reviews", "reviews.{namespace}.svc.cluster.local"])
def test_two_objects_on_one_host_are_refused_and_nothing_is_written(
    kube: Kube, everybody_on_v1: Shop, host: str
) -> None:
    shop = everybody_on_v1
    kube.apply(second_object(shop, host.format(namespace=shop.namespace)))
    before = routing(kube, shop)
    variables = {"service": "reviews", "ns": shop.namespace}
    try:
        for playbook, weights in (("shift", {"v1": 90, "v2": 10}), ("header_test", {"v2": 10, "v3": 90})):
            played = shop.player(f"meshops.canary.{playbook}", fails=True, weights=weights, **variables)
            result = played.last
            assert result["error_code"] == "refused", result["msg"]
            assert "revews" in result["msg"]
            assert any("revews" in str(finding) for finding in result["findings"])
            assert routing(kube, shop) == before
    finally:
        kube.delete(ISTIO, "VirtualService", "revews", shop.namespace)


def test_without_the_second_object_the_same_shift_works(kube: Kube, everybody_on_v1: Shop) -> None:
    before = routing(kube, everybody_on_v1)
    everybody_on_v1.shift(v1=50, v2=50)
    assert routing(kube, everybody_on_v1) != before
    assert_split(measure(everybody_on_v1.sidecar, 1000), {"v1": 50, "v2": 50}, "everybody")
