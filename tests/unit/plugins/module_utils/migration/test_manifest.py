# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests
from ansible_collections.meshops.canary.plugins.module_utils.migration.manifest import Manifest, duration
from support.foreign_manifests import argo

Json = dict[str, t.Any]


def deep(levels: int) -> Json:
    return {"a": deep(levels - 1)} if levels else {}


def circle() -> Json:
    found: Json = {}
    found["a"] = found
    return found


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (deep(50), "nested more than"),
        (circle(), "contains itself"),
        ({"a": list(range(60_000))}, "too large"),
        ({"a": "x" * 200_000}, "more than 100000 characters"),
        ({"a": float("nan")}, "no number"),
        ({"a": 10**400}, "no number"),
        ({"a": {5: "x"}}, "Put it in quotes"),
        ({"a": object()}, "of the type object"),
    ],
)
def test_what_no_manifest_has_is_refused(spec: Json, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Manifest({"kind": "Rollout", "metadata": {"name": "x"}, "spec": spec}, "Rollout")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "There must be one Rollout, and there are 0"),
        ([argo(), argo()], "there are 2"),
        ("kind: Rollout", "not str"),
        ([5], r"\[0\]: a manifest is a mapping, not int"),
        ({"kind": "Rollout"}, "metadata.name is missing"),
        ({"kind": "Rollout", "metadata": {"name": "x"}}, "spec is missing"),
        ({"kind": "Rollout", "metadata": []}, "metadata must be a mapping"),
        ({"kind": "Rollout", "metadata": {"name": "x"}, "spec": {"strategy": {}}}, "neither canary nor blueGreen"),
        ({"kind": "Deployment\x1b[2J", "metadata": {"name": "x"}}, "Deployment\ufffd"),
    ],
)
def test_what_is_not_one_rollout_is_refused(given: t.Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        manifests.argo(given)


def test_documents_and_lists_are_taken_apart_and_nothing_is_changed() -> None:
    given = {"kind": "List", "items": [None, argo([{"setWeight": 5}])]}
    before = repr(given)
    assert manifests.argo([None, given["items"][1]])["source"] == {
        "kind": "Rollout",
        "name": "checkout",
        "namespace": "shop",
    }
    assert manifests.argo(given) == manifests.argo(given["items"])
    assert repr(given) == before


def test_a_date_of_yaml_is_text() -> None:
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    found = Manifest({"kind": "Rollout", "metadata": {"name": "x"}, "spec": {"at": at}}, "Rollout")
    assert found.value["spec"]["at"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (5, 5),
        ("5", 5),
        ("1h2m3.5s", 3723.5),
        ("100ms", 0.1),
        ("", None),
        ("5 m", None),
        ("m", None),
        (-5, None),
        ("-5s", None),
        (True, None),
        (None, None),
        ("9" * 60 + "s", None),
    ],
)
def test_durations_are_those_of_go(given: t.Any, seconds: float | None) -> None:
    assert duration(given) == seconds
