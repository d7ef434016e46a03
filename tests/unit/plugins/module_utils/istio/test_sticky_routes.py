# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cookie of a sticky cohort may be, and the routes it is limited to."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ForeignDestination, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import reviews as rv
from support import route_strategies as rs
from support.route_operations import REVIEWS, run, the_route


def given() -> Snapshot:
    api = {
        "name": "api",
        "match": [{"uri": {"prefix": "/api"}}],
        "route": [rv.destination("v1", 50), rv.destination("v2", 50)],
    }
    shared = {"route": [*api["route"], rv.destination(None, 10, host="legacy")]}
    rules = (rv.destination_rule(),)
    return Snapshot(virtual_services=(rv.virtual_service(http=rs.fresh([api, shared])),), destination_rules=rules)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("path", "/; Domain=evil.example.com"),
        ("path", "/\r\nX-Evil: 1"),
        ("path", "shop"),
        ("path", "/a b"),
        ("path", ""),
        ("max_age", -1),
        ("max_age", 0),
        ("cookie", "a=b"),
        ("cookie", "a;b"),
    ],
)
def test_an_invalid_cookie_is_refused(option: str, value: t.Any) -> None:
    with pytest.raises(InvalidInput, match=option):
        plan.plan(given(), REVIEWS, intents.SetSticky(**{option: value}))


@pytest.mark.parametrize("name", ["api", "http/api"])
def test_sticky_can_be_limited_to_routes(name: str) -> None:
    with pytest.raises(ForeignDestination, match="Select routes with the option routes"):
        plan.plan(given(), REVIEWS, intents.SetSticky())
    scope = Scope(routes=(name,))
    after = run(given(), [lambda s: plan.plan(s, REVIEWS, intents.SetSticky(path="/shop/%7e"), scope=scope)])
    names = [str(one.get("name")) for one in the_route(after)["spec"]["http"]]
    assert names == ["canary-sticky.v1.api", "canary-sticky.v2.api", "api", "None"]
    assert (
        "Path=/shop/%7e;" in the_route(after)["spec"]["http"][2]["route"][0]["headers"]["response"]["add"]["Set-Cookie"]
    )
    assert not plan.plan(after, REVIEWS, intents.SetSticky(path="/shop/%7e"), scope=scope).changes
    assert the_route(run(after, [lambda s: plan.plan(s, REVIEWS, intents.RemoveSticky())])) == the_route(given())
