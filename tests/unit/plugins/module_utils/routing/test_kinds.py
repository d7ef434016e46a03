# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which kind of route routes a service."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import kinds
from support import reviews as rv

REVIEWS = ServiceRef("reviews", "bookinfo")


def test_find_kind_prefers_virtual_services() -> None:
    route = {
        "kind": "HTTPRoute",
        "metadata": {"name": "reviews", "namespace": "bookinfo"},
        "spec": {"parentRefs": [{"kind": "Service", "group": "", "name": "reviews"}], "rules": []},
    }
    by_gateway = Snapshot(virtual_services=(), http_routes=(route,))
    both = Snapshot(virtual_services=(rv.virtual_service(),), http_routes=(route,))
    assert kinds.find_kind(by_gateway, REVIEWS).api == "gateway"
    assert kinds.find_kind(by_gateway, ServiceRef("ratings", "bookinfo")).api == "istio"
    assert kinds.find_kind(both, REVIEWS).api == "istio"
    assert kinds.find_kind(both, REVIEWS, "gateway").api == "gateway"
    with pytest.raises(InvalidInput, match="route_api"):
        kinds.find_kind(both, REVIEWS, "linkerd")
