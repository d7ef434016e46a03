# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_replicas refuses, warns and is forced by the codes of findings, as every other writing module."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import APPS, NEW, OLD, QUICK, stored

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube


def test_an_update_that_would_end_all_pods_is_refused_unless_forced(direct: Direct, kube: Kube, shop: str) -> None:
    recreate = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    kube.patch(APPS, "Deployment", "reviews", shop, recreate)
    before = stored(kube, shop)
    refused = direct("replicas", state="updated", image=NEW, fails=True, **QUICK)
    assert refused["error_code"] == "refused"
    assert [one["code"] for one in refused["findings"]] == ["UPDATE_ENDS_ALL_PODS"]
    assert "force: [UPDATE_ENDS_ALL_PODS]" in refused["msg"]
    assert stored(kube, shop) == before
    done = direct("replicas", state="updated", image=NEW, force=["UPDATE_ENDS_ALL_PODS"], **QUICK)
    assert done["changed"]
    assert "UPDATE_ENDS_ALL_PODS" in {one["code"] for one in done["findings"]}


def test_settings_that_lose_requests_are_warned_of_unless_preflight_is_off(direct: Direct, shop: str) -> None:
    planned = direct("replicas", image=NEW, share=25, check_mode=True, **QUICK)
    assert [one["code"] for one in planned["findings"]] == ["READINESS_PROBE_MISSING", "PRESTOP_MISSING"]
    assert any(
        one.startswith(f"PRESTOP_MISSING: Deployment {shop}/reviews-canary: Container reviews")
        for one in planned["warnings"]
    )
    assert direct("replicas", image=NEW, share=25, preflight=False, **QUICK)["findings"] == []


@pytest.mark.parametrize(
    ("hook", "code", "seen"),
    [
        ({"sleep": {"seconds": 2}}, "PRESTOP_TOO_SHORT", "Container reviews sleeps only 2 s in its preStop."),
        (
            {"exec": {"command": ["sleep", "30"]}},
            "GRACE_PERIOD_TOO_SHORT",
            "Container reviews sleeps 30 s in its preStop,",
        ),
    ],
)
@pytest.mark.parametrize("change", [{"share": 25}, {"state": "updated"}], ids=["canary", "update"])
def test_pods_that_end_too_soon_are_warned_of(
    direct: Direct, kube: Kube, shop: str, change: dict[str, t.Any], hook: dict[str, t.Any], code: str, seen: str
) -> None:
    container = {"name": "reviews", "image": OLD, "lifecycle": {"preStop": hook}}
    kube.patch(APPS, "Deployment", "reviews", shop, {"spec": {"template": {"spec": {"containers": [container]}}}})
    planned = direct("replicas", image=NEW, check_mode=True, **change, **QUICK)
    name = "reviews-canary" if "share" in change else "reviews"
    assert [one["code"] for one in planned["findings"]] == ["READINESS_PROBE_MISSING", code]
    assert any(one.startswith(f"{code}: Deployment {shop}/{name}: {seen}") for one in planned["warnings"])


def test_settings_that_change_shares_or_capacity_are_warned_of(direct: Direct, kube: Kube, shop: str) -> None:
    kube.patch("v1", "Service", "reviews", shop, {"spec": {"sessionAffinity": "ClientIP"}})
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    kube.patch(APPS, "Deployment", "reviews", shop, {"spec": {"strategy": rolling}})
    shared = direct("replicas", image=NEW, share=25, check_mode=True, **QUICK)
    assert "SESSION_AFFINITY" in {one["code"] for one in shared["findings"]}
    updated = direct("replicas", state="updated", image=NEW, check_mode=True, **QUICK)
    assert "UPDATE_SINKS_CAPACITY" in {one["code"] for one in updated["findings"]}


def test_a_canary_with_another_template_is_not_promoted_without_force(direct: Direct, kube: Kube, shop: str) -> None:
    direct("replicas", image=NEW, share=25, **QUICK)
    container = {"name": "reviews", "image": NEW, "env": [{"name": "COLOUR", "value": "black"}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kube.patch(APPS, "Deployment", "reviews-canary", shop, body)
    before = stored(kube, shop)
    raised = direct("replicas", image=NEW, share=40, check_mode=True, **QUICK)
    assert "CANARY_TEMPLATE_DIFFERS" in {one["code"] for one in raised["findings"]}
    refused = direct("replicas", state="promoted", fails=True, **QUICK)
    assert "[PROMOTES_UNTESTED]" in refused["msg"]
    assert "containers/0/env/0" in refused["msg"]
    assert stored(kube, shop) == before
    assert direct("replicas", state="promoted", force=["PROMOTES_UNTESTED"], **QUICK)["changed"]
