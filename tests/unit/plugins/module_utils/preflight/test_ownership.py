# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argo CD's own objects say whether it puts its version back by itself."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.preflight.inspection import Evidence
from support.preflight_defects import codes, inspect, of_virtual_service
from support.reviews import healthy, obj

if t.TYPE_CHECKING:
    from support.reviews import Object

TRACKED = "argocd.argoproj.io/tracking-id"
HEALS = {"syncPolicy": {"automated": {"selfHeal": True}}}


def application(name: str = "shop", namespace: str = "argocd", **spec: t.Any) -> Object:
    return {**obj("argoproj.io/v1alpha1", "Application", name, namespace), "spec": spec}


def ignoring(**entry: t.Any) -> Object:
    wanted = {"group": "networking.istio.io", "kind": "VirtualService", "jsonPointers": ["/spec/http"], **entry}
    return application(**HEALS, ignoreDifferences=[wanted])


def found(applications: list[Object] | None, tracked: str = "shop:networking.istio.io/VirtualService:a/b") -> list[str]:
    lists = healthy()
    of_virtual_service(annotations={TRACKED: tracked})(lists)
    return codes(inspect(lists, evidence=Evidence(access={}, webhooks=[_webhook()], applications=applications)))


def _webhook() -> Object:
    rule = {"apiGroups": ["networking.istio.io"], "resources": ["*"]}
    return {"metadata": {"name": "istio"}, "webhooks": [{"name": "istio", "failurePolicy": "Fail", "rules": [rule]}]}


@pytest.mark.parametrize(
    "healer",
    [
        application(**HEALS),
        ignoring(kind="Deployment"),
        ignoring(name="ratings"),
        ignoring(jsonPointers=["/metadata/labels"]),
    ],
)
def test_an_application_that_heals_itself_undoes_the_change(healer: Object) -> None:
    assert found([application("other"), healer]) == ["REVERTED_BY_GITOPS"]


@pytest.mark.parametrize(
    "unchanged",
    [
        application(),
        application("other", **HEALS),
        application(syncPolicy={"automated": {"selfHeal": False}}),
        application(syncPolicy={"automated": {"selfHeal": True, "enabled": False}}),
        ignoring(),
        ignoring(name="reviews", jsonPointers=[], jqPathExpressions=[".spec.http[].route[].weight"]),
    ],
)
def test_one_that_leaves_the_routes_alone_is_only_named(unchanged: Object) -> None:
    assert found([unchanged]) == ["APPLIED_BY_TOOL"]


def test_an_application_of_another_namespace_is_told_by_both_names() -> None:
    assert found([application(namespace="team", **HEALS)], "team_shop:x") == ["REVERTED_BY_GITOPS"]
    assert found([application(namespace="others", **HEALS)], "team_shop:x") == ["APPLIED_BY_TOOL"]


def test_applications_that_could_not_be_read_are_said_not_guessed() -> None:
    assert found(None) == ["APPLIED_BY_TOOL", "NOT_CHECKED"]
