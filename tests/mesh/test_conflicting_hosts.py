# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two routing objects for one host: a sidecar applies only one of them, so the modules refuse and write nothing.

A VirtualService whose name is misspelled is the usual way to get a second one.
"""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

COMMANDS: dict[str, dict[str, t.Any]] = {
    "weight": {"weights": {"v1": 90, "v2": 10}},
    "header_route": {"headers": {"end-user": "testuser"}, "weights": {"v2": 10, "v3": 90}},
}


def second_object(host: str) -> dict[str, t.Any]:
    route = {"route": [{"destination": {"host": "reviews", "subset": "v3"}}]}
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "revews"},
        "spec": {"hosts": [host], "http": [route]},
    }


def routing(kube: Kube, shop: Shop) -> list[tuple[str, str]]:
    """Return name and resourceVersion of every routing object: each write changes it."""
    kinds = ("VirtualService", "DestinationRule")
    found = [item["metadata"] for kind in kinds for item in kube.list(ISTIO, kind, shop.namespace)]
    return [(meta["name"], meta["resourceVersion"]) for meta in found]


@pytest.mark.parametrize("host", ["reviews", "reviews.{namespace}.svc.cluster.local"])
def test_two_objects_on_one_host_are_refused_and_nothing_is_written(
    kube: Kube, shop: Shop, direct: Direct, host: str
) -> None:
    kube.apply(second_object(host.format(namespace=shop.namespace)), namespace=shop.namespace)
    before = routing(kube, shop)
    try:
        for command, options in COMMANDS.items():
            result = direct(command, fails=True, **options)
            assert result["error_code"] == "refused", result["msg"]
            assert "revews" in result["msg"]
            assert any("revews" in str(finding) for finding in result["findings"])
            assert routing(kube, shop) == before
    finally:
        kube.delete(ISTIO, "VirtualService", "revews", shop.namespace)
