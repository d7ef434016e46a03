# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data of a release: what the parser refuses the schema refuses too, and every message says the way out."""

from __future__ import annotations

import copy
import json
import typing as t

import jsonschema
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.release import data
from hypothesis import given
from hypothesis import strategies as st
from support.collection import ROOT

OPTIONS = rollout.SPEC.options
RATINGS: dict[str, t.Any] = {"service": "ratings", "namespace": "shop", "stable": "v1", "canary": "v2"}
REVIEWS = {**RATINGS, "service": "reviews"}
GOOD: dict[str, t.Any] = {"name": "shop-42", "services": [RATINGS, REVIEWS]}
VALIDATOR = jsonschema.Draft202012Validator(data.schema(OPTIONS))


def changed(**keys: t.Any) -> dict[str, t.Any]:
    return {**copy.deepcopy(GOOD), **keys}


def entry(**keys: t.Any) -> dict[str, t.Any]:
    return changed(services=[{**RATINGS, **keys}])


ACCEPTED = {
    "the shortest": GOOD,
    "all keys": changed(
        namespace="releases",
        steps=[1, 10.5, {"weight": 50, "pause": 30, "analysis": False, "replicas": 2}, 100],
        defaults={"pause": 30, "metrics": [{"kind": "errors"}]},
        cohort={"headers": {"end-user": {"exact": "testuser"}}},
        waves=["pilot", "europe"],
        on_failure="rollback_wave",
        ticket="OPS-42: new ratings",
        soak="30m",
        keep_old="24h",
        window={"days": ["mon", "fri"], "from": "09:00", "until": "16:00", "timezone": "Europe/Berlin"},
    ),
    "two windows": changed(window=[{"from": "22:00", "until": "04:00"}, {"from": "12:00", "until": "24:00"}]),
    "seconds as a number": changed(soak=0.5),
    "options of a service": entry(pause=5, metrics=[], keep={"v3": 5}, force=["CODE"], old_replicas=1, source="auto"),
    "the number of pods as a text": entry(old_replicas="0"),
}
REFUSED = {
    "no mapping": ([GOOD], "canary_release: .* is not a mapping"),
    "no name": ({"services": [RATINGS]}, "canary_release: the key name is missing. Name of the release"),
    "no services": ({"name": "x"}, "the key services is missing. Callees before callers"),
    "an empty list": (changed(services=[]), "services: the list is empty. List at least one entry."),
    "no steps": (changed(steps=[]), "steps: the list is empty. Leave the key out"),
    "too many services": (changed(services=[RATINGS] * 101), "has 101 entries, but at most 100"),
    "a name of capitals": (changed(name="Shop"), "canary_release.name: 'Shop' is not possible. Use lower-case"),
    "a long name": (changed(name="x" * 49), "name: .* at most 48"),
    "a number as a name": (changed(name=42), r"name: 42 is not a text \(write it in quotes\)"),
    "a version that YAML read as a number": (entry(canary=1.10), r"services\[0\].canary: 1.1 is not a text"),
    "a key that is near": (changed(on_fail="stop"), "there is no key on_fail; did you mean on_failure?"),
    "a key that is near none": (changed(zzz=1), "there is no key zzz; possible are name, namespace"),
    "an option with its prefix": (entry(rollout_pause=5), "options .* stand here without the prefix: pause"),
    "steps of one service": (entry(steps=[5]), r"steps is not possible in a release: services of a release go in step"),
    "a gate of one service": (entry(gate="manual"), "gates between waves"),
    "a gate of a step": (changed(steps=[{"weight": 5, "gate": "manual"}]), r"steps\[0\]: .*gates between waves"),
    "a watchdog": (entry(watchdog={}), "the watchdog Job knows one service"),
    "an image": (entry(image="shop:2"), "needs route_api: replicas"),
    "canaries by pods": (entry(route_api="replicas"), "'replicas' is not possible. Use one of auto, istio, gateway"),
    "another failure policy": (changed(on_failure="pray"), "Use one of rollback_all, rollback_wave, stop"),
    "true as a choice": (changed(on_failure=True), "on_failure: True is not possible"),
    "a step of 0": (changed(steps=[0]), r"steps\[0\]: 0 is too small. Use a number that is above 0"),
    "a step over 100": (changed(steps=[101]), "too large. Use a number that is at most 100"),
    "a step as a text": (changed(steps=["10"]), "'10' is not a number or a mapping"),
    "true as a step": (changed(steps=[True]), "True is not a number or a mapping"),
    "a step without weight": (changed(steps=[{"pause": 1}]), "the key weight is missing"),
    "a window that YAML read as a number": (changed(window={"from": 540, "until": "16:00"}), "from: 540 is not a text"),
    "an hour of one digit": (changed(window={"from": "9:00", "until": "16:00"}), "from 00:00 to 23:59"),
    "a window without end": (changed(window={"from": "09:00"}), "the key until is missing. When it closes"),
    "another day": (changed(window={"days": ["monday"], "from": "09:00", "until": "16:00"}), "Use one of mon, tue"),
    "no windows": (changed(window=[]), "window: the list is empty"),
    "a pause as a text": (entry(pause="60"), "pause: '60' is not a number"),
    "yes as a text": (entry(analysis="yes"), "analysis: 'yes' is not true or false"),
    "a mapping as a list": (entry(metrics={}), r"metrics: \{\} is not a list"),
    "half a pod": (changed(steps=[{"weight": 5, "replicas": 0.5}]), "replicas: 0.5 is not a whole number"),
    "weeks": (changed(soak="2w"), "soak: '2w' is not possible. Use a number of seconds, or a text such as 90s"),
    "minus a second": (changed(soak=-1), "soak: -1 is too small. Use a number that is at least 0"),
    "four months": (changed(keep_old=10_000_000), "too large"),
    "a duration as a list": (changed(soak=[1]), "is not a number or a text"),
    "a wave twice": (changed(waves=["a", "a"]), "waves: 'a' is listed twice"),
    "a wave without a name": (changed(waves=[""]), r"waves\[0\]: '' is not possible. Use 1 to 200 characters"),
    "a ticket of two lines": (changed(ticket="a\nb"), "ticket: .* in one line"),
    "no cohort": (changed(cohort={}), "cohort: the mapping is empty"),
    "an unknown option in defaults": (changed(defaults={"puase": 1}), "defaults: there is no key puase; .* pause?"),
}


@pytest.mark.parametrize("given_data", ACCEPTED.values(), ids=ACCEPTED)
def test_both_accept(given_data: t.Any) -> None:
    assert data.parse(given_data, OPTIONS).services
    assert list(VALIDATOR.iter_errors(given_data)) == []


@pytest.mark.parametrize(("given_data", "message"), REFUSED.values(), ids=REFUSED)
def test_both_refuse_and_the_message_names_key_value_and_way_out(given_data: t.Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        data.parse(given_data, OPTIONS)
    assert list(VALIDATOR.iter_errors(given_data))


@pytest.mark.parametrize(
    ("given_data", "message"),
    [
        (entry(canary="v1"), r"services\[0\]: stable and canary of shop/ratings are both v1"),
        (changed(services=[RATINGS, {**RATINGS, "canary": "v3"}]), r"services\[1\]: shop/ratings is listed twice"),
        (changed(steps=[50, 10, 100]), r"canary_release.steps\[1\]: 10 is not above 50, the step before"),
        (changed(steps=[10, {"weight": 10, "pause": 5}]), r"steps\[1\]: 10 is not above 10"),
    ],
)
def test_what_relates_two_values_only_the_parser_refuses(given_data: t.Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        data.parse(given_data, OPTIONS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(data.schema(OPTIONS)["properties"])), JSON)
def test_any_value_of_any_key_is_refused_by_both_or_by_none(name: str, value: t.Any) -> None:
    given_data = changed(**{name: value})
    try:
        data.parse(given_data, OPTIONS)
        refused = False
    except InvalidInput:
        refused = True
    assert refused == bool(list(VALIDATOR.iter_errors(given_data)))


@given(st.sampled_from(data.service_options(OPTIONS)), JSON)
def test_any_value_of_any_option_of_a_service_too(name: str, value: t.Any) -> None:
    given_data = entry(**{name: value})
    try:
        data.parse(given_data, OPTIONS)
        refused = False
    except InvalidInput:
        refused = True
    assert refused == bool(list(VALIDATOR.iter_errors(given_data)))


def test_the_schema_for_editors_is_that_of_the_parser() -> None:
    stored = json.loads((ROOT / "docs" / "release.schema.json").read_text(encoding="utf-8"))
    assert stored["properties"]["canary_release"] == data.schema(OPTIONS)
    jsonschema.Draft202012Validator.check_schema(stored)


def test_defaults_and_cohort_apply_to_services_that_do_not_set_them() -> None:
    found = data.parse(
        changed(services=[RATINGS, {**REVIEWS, "pause": 5}], defaults={"pause": 30}, cohort={"headers": {"a": "b"}}),
        OPTIONS,
    )
    assert [one.options for one in found.services] == [
        {"cohort": {"headers": {"a": "b"}}, "pause": 30},
        {"cohort": {"headers": {"a": "b"}}, "pause": 5},
    ]
    assert (found.namespace, found.on_failure, found.steps) == ("shop", "rollback_all", data.DEFAULT_STEPS)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86400), ("2d", 172800), (1.5, 1.5)])
def test_durations(text: t.Any, seconds: float) -> None:
    assert data.seconds_of(text) == seconds


def test_every_option_of_a_rollout_is_possible_or_its_absence_has_a_reason() -> None:
    assert set(data.EXCLUDED) <= set(OPTIONS), "an excluded option that does not exist"
    assert "metrics" in data.service_options(OPTIONS)
    assert not {"kubeconfig", "context", "api_key", "impersonate_user"} & set(data.service_options(OPTIONS))
