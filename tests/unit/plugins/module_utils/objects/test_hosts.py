# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts, gateways and export scopes by table, as Istio expands them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import hosts

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
    assert hosts.exported_to(virtual_service("one", exportTo=export_to)) == scope


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
def test_gateways_without_a_namespace_are_in_the_same_one(gateways: list[str] | None, expanded: list[str]) -> None:
    assert hosts.gateways_of(virtual_service("one", gateways=gateways)) == expanded


def created(name: str, namespace: str, time: str = "2026-01-01T00:00:00Z", **spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": time}, "spec": spec}


def names(objects: t.Iterable[dict[str, t.Any]]) -> list[str]:
    return [one["metadata"]["name"] for one in objects]


def test_a_proxy_applies_private_before_named_before_public_and_then_the_oldest() -> None:
    public_old = created("public-old", "prod", "2020-01-01T00:00:00Z")
    public_new = created("public-new", "prod", "2021-01-01T00:00:00Z")
    named = created("named", "prod", "2022-01-01T00:00:00Z", exportTo=["bookinfo"])
    private = created("private", "bookinfo", "2023-01-01T00:00:00Z", exportTo=["."])
    hidden = created("hidden", "prod", "2019-01-01T00:00:00Z", exportTo=["."])
    applied = hosts.by_precedence([public_new, hidden, public_old, named, private], "bookinfo")
    assert names(applied) == ["private", "named", "public-old", "public-new"]


def test_equal_age_goes_by_name_and_then_namespace() -> None:
    listed = [created("b", "x"), created("a", "y"), created("a", "x")]
    assert [hosts.identity(one) for one in hosts.by_precedence(listed, "x")] == [("x", "a"), ("y", "a"), ("x", "b")]


@pytest.mark.parametrize(
    ("name", "gateway"),
    [
        ("mesh", "mesh"),
        ("edge", "bookinfo/edge"),
        ("infra/edge", "infra/edge"),
        ("./edge", "bookinfo/edge"),
        ("edge.infra", "infra/edge"),
        ("edge.infra.svc.cluster.local", "infra/edge"),
        ("edge.infra.svc.example.org", "infra/edge"),
        ("mesh.infra", "infra/mesh"),
    ],
)
def test_gateways_are_named_as_istiod_resolves_them(name: str, gateway: str) -> None:
    assert hosts.resolve_gateway(name, "bookinfo") == gateway
    assert hosts.gateways_of(virtual_service("page", gateways=[name])) == [gateway]


def test_the_old_form_of_gateway_names_is_found_in_matches_too() -> None:
    blocks = [{"gateways": ["other.infra.svc.cluster.local"]}, {"gateways": ["infra/edge"]}]
    http = [{"match": blocks}, {}]
    found = hosts.legacy_gateway_names(virtual_service("page", gateways=["edge.infra", "edge", "mesh"], http=http))
    assert found == ["edge.infra", "other.infra.svc.cluster.local"]
