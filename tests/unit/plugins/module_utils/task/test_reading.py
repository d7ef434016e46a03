# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects labeled for a revision of Istio are read as its istiods read them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.metadata import identity
from ansible_collections.meshops.canary.plugins.module_utils.task.reading import Reader, api_of, scope_of
from support import reviews


class FakeCluster:
    """Plays an API server with VirtualServices, by their label, and the pods of istiod, by their revision."""

    def __init__(self, labels: t.Iterable[str], revisions: t.Iterable[str] | ApiError) -> None:
        self.labels, self.revisions = list(labels), revisions
        self.lists: list[str] = []

    def list(self, resource: resources.Resource, _namespace: str | None = None, **_more: t.Any) -> list[t.Any]:
        self.lists.append(resource.plural)
        if resource is resources.POD:
            if isinstance(self.revisions, ApiError):
                raise self.revisions
            labels = [{"app": "istiod", **({"istio.io/rev": one} if one else {})} for one in self.revisions]
            return [reviews.pod(f"istiod-{n}", one, "istio-system") for n, one in enumerate(labels)]
        names = {one: {"labels": {"istio.io/rev": one}} if one else {} for one in self.labels}
        return [
            reviews.changed(reviews.virtual_service(name=f"of-{one or 'all'}"), metadata=more)
            for one, more in names.items()
        ]


def read(
    labels: t.Iterable[str], revisions: t.Iterable[str] | ApiError
) -> tuple[list[str], list[str], list[str], Reader]:
    cluster = FakeCluster(labels, revisions)
    reader = Reader(t.cast("t.Any", cluster), ServiceRef("reviews", "bookinfo"), wide=True)
    snapshot = reader.snapshot(["virtual_services"])
    names = [[identity(one)[1] for one in found or ()] for found in (snapshot.virtual_services, snapshot.ignored)]
    return names[0], names[1], cluster.lists, reader


@pytest.mark.parametrize(
    ("labels", "revisions", "used", "ignored"),
    [
        (["", "1-29-0"], ["default"], ["of-all"], ["of-1-29-0"]),
        (["default"], ["default"], ["of-default"], []),
        (["1-28", "1-29"], ["1-28", "1-29"], ["of-1-28", "of-1-29"], []),
        (["1-27"], ["1-28", "1-29"], [], ["of-1-27"]),
        (["1-27"], [""], ["of-1-27"], []),  # an istiod that does not say its revision
        (["1-27"], [], ["of-1-27"], []),  # an istiod outside the cluster
    ],
)
def test_an_object_of_a_revision_that_does_not_run_is_left_out(
    labels: list[str], revisions: list[str], used: list[str], ignored: list[str]
) -> None:
    assert read(labels, revisions)[:2] == (used, ignored)


def test_istiod_is_lists_only_where_a_label_makes_it_matter() -> None:
    assert read([""], ["default"])[2] == ["virtualservices"]
    assert read(["", "default"], ["default"])[2] == ["virtualservices", "pods"]


def test_without_the_right_to_ask_nothing_is_left_out_and_a_note_says_so() -> None:
    used, ignored, _lists, reader = read(["next"], ApiError("no right to list pods", 403))
    assert (used, ignored) == (["of-next"], [])
    assert reader.notes == ["Whether istiod reads objects labeled istio.io/rev is not known: no right to list pods"]


def test_a_named_object_chooses_the_api() -> None:
    assert api_of({"route_api": "auto", "http_routes": ["shop"]}) == "gateway"
    assert api_of({"route_api": "auto", "virtual_services": ["shop"]}) == "istio"
    assert api_of({"route_api": "gateway"}) == "gateway"
    assert scope_of({"http_routes": ["shop"]}).objects == ("shop",)


@pytest.mark.parametrize(
    "params",
    [{"route_api": "istio", "http_routes": ["a"]}, {"http_routes": ["a"], "virtual_services": ["b"]}],
)
def test_names_that_contradict_are_refused(params: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput, match="http_routes"):
        api_of(params)
