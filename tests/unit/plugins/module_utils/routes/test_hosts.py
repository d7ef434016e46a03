# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts, gateways and export scopes by table, as Istio expands them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.routes import hosts

REVIEWS = hosts.ServiceRef("reviews", "bookinfo")


def virtual_service(name: str, **spec: t.Any) -> dict[str, t.Any]:
    given = {key: value for key, value in spec.items() if value is not None}
    return {"metadata": {"name": name, "namespace": "bookinfo"}, "spec": given}


@pytest.mark.parametrize(
    ("host", "namespace", "full"),
    [
        ("reviews", "bookinfo", "reviews.bookinfo.svc.cluster.local"),
        ("reviews", "prod", "reviews.prod.svc.cluster.local"),
        ("reviews.bookinfo", "bookinfo", "reviews.bookinfo"),
        ("reviews.bookinfo.svc", "bookinfo", "reviews.bookinfo.svc"),
        ("reviews.bookinfo.svc.cluster.local", "prod", "reviews.bookinfo.svc.cluster.local"),
        ("*", "bookinfo", "*"),
        ("*.example.com", "bookinfo", "*.example.com"),
        ("", "bookinfo", ""),
    ],
)
def test_only_a_name_without_a_dot_is_completed(host: str, namespace: str, full: str) -> None:
    assert hosts.expand(host, namespace) == full


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("*", True),
        ("*.local", True),
        ("*.bookinfo.svc.cluster.local", True),
        ("*reviews.bookinfo.svc.cluster.local", True),
        ("*.prod.svc.cluster.local", False),
        ("reviews.bookinfo", False),
        ("reviews", True),
    ],
)
def test_wildcards(pattern: str, covered: bool) -> None:
    assert REVIEWS.covered_by(pattern, "bookinfo") is covered


@pytest.mark.parametrize(
    ("export_to", "scope"),
    [
        (None, {"*"}),
        ([], {"*"}),
        (["*"], {"*"}),
        (["."], {"bookinfo"}),
        (["~"], set()),
        ([".", "a"], {"bookinfo", "a"}),
        (["a", "*"], {"*"}),
    ],
)
def test_export_to(export_to: list[str] | None, scope: set[str]) -> None:
    assert hosts.exports(virtual_service("one", exportTo=export_to)) == scope


@pytest.mark.parametrize(
    ("gateways", "expanded"),
    [
        (None, ["mesh"]),
        ([], ["mesh"]),
        (["mesh"], ["mesh"]),
        (["public"], ["bookinfo/public"]),
        (["infra/public", "mesh"], ["infra/public", "mesh"]),
    ],
)
def test_gateways_without_a_namespace_are_those_beside_it(gateways: list[str] | None, expanded: list[str]) -> None:
    assert hosts.gateways_of(virtual_service("one", gateways=gateways)) == expanded
