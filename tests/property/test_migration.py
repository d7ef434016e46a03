# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of the translation of Rollouts and Canaries: each is a plan that runs, or an error with a field."""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests
from hypothesis import event, given
from hypothesis import strategies as st
from support.foreign_manifests import argo, flagger, leaves, measured, metric_template, plan, template, uses

Json = dict[str, t.Any]

SECONDS = st.one_of(st.integers(0, 700_000), st.sampled_from(("5", "30s", "1m30s", "2h", "200h")))
NAMES = st.sampled_from(("end-user", "X-Team", "cookie", "", "uri", "{{ x }}"))
STRINGS = st.sampled_from(("testuser", "a.*", "{{ lookup('env', 'HOME') }}", "(", "^(.*?;)?(b=c)(;.*)?$", ""))
CONDITIONS = st.dictionaries(st.sampled_from(("exact", "prefix", "regex", "suffix")), STRINGS, max_size=2)
HEADERS = st.fixed_dictionaries({"headerName": NAMES, "headerValue": CONDITIONS})
STEPS = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    SECONDS.map(lambda duration: {"pause": {"duration": duration}}),
    st.just({"pause": {}}),
    st.integers(0, 20).map(lambda replicas: {"setCanaryScale": {"replicas": replicas}}),
    st.integers(0, 100).map(lambda weight: {"setCanaryScale": {"weight": weight}}),
    st.just({"setCanaryScale": {"matchTrafficWeight": True}}),
    st.tuples(st.sampled_from("ab"), st.lists(HEADERS, max_size=2)).map(
        lambda route: {"setHeaderRoute": {"name": route[0], "match": route[1]}}
    ),
    st.just({"setMirrorRoute": {"name": "m", "percentage": 5}}),
    st.just({"experiment": {"templates": [{"name": "b", "specRef": "stable"}]}}),
    st.sampled_from(("quality", "unknown")).map(lambda name: {"analysis": uses(name)}),
)
QUERIES = st.sampled_from(("up", "up{a=~'x$'}", "{{ args.service }}", "{{ inputs }}", "", "x{v='$version'}"))
JUDGED = st.sampled_from(("result[0] > 5", "result >= 0.5 && result <= 1", "isNaN(result) || result < 1", "odd", ""))
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
    max_leaves=4,
)


@st.composite
def metrics(draw: t.Any) -> Json:
    options = {
        "successCondition": draw(JUDGED),
        "failureLimit": draw(st.integers(-1, 3)),
        "interval": draw(SECONDS),
        "count": draw(st.integers(0, 5)),
    }
    return measured("m", draw(QUERIES), **options)


def in_kubernetes(value: Json) -> Json:
    """Return the value as the API server would: only JSON."""
    return t.cast("Json", json.loads(json.dumps(value)))


def names_a_field(error: InvalidInput, *beginnings: str) -> None:
    event("refused")
    assert error.msg.startswith(beginnings), error.msg


@given(st.lists(STEPS, max_size=12), metrics(), st.booleans(), st.booleans())
def test_a_rollout_is_a_plan_that_runs_or_an_error(
    steps: list[Json], metric: Json, routed: bool, background: bool
) -> None:
    canary: Json = {} if routed else {"trafficRouting": None}
    if background:
        canary["analysis"] = uses("quality", startingStep=1)
    rollout, quality = argo(steps, **canary), template(metric)
    before = copy.deepcopy(rollout)
    try:
        result = manifests.argo(rollout, [quality], "v1", "v2")
    except InvalidInput as error:
        names_a_field(error, "Rollout checkout: spec.", "AnalysisTemplate quality: spec.")
        return
    event("translated")
    assert rollout == before
    assert in_kubernetes(result) == result
    assert "{{" not in json.dumps(result["variables"])
    assert [step.weight for step in plan(result).steps] == sorted(
        step["weight"] for step in result["variables"]["steps"]
    )


@given(
    st.lists(st.integers(-5, 110), max_size=4),
    st.lists(st.fixed_dictionaries({"headers": st.dictionaries(NAMES, CONDITIONS, max_size=2)}), max_size=2),
    st.integers(0, 20),
    QUERIES,
)
def test_a_canary_is_a_plan_that_runs_or_an_error(
    weights: list[int], match: list[Json], times: int, query: str
) -> None:
    metric = {"name": "q", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 5}}
    canary = flagger(metric, stepWeights=weights, match=match, iterations=times)
    try:
        result = manifests.flagger(canary, [metric_template(query)], "v1", "v2")
    except InvalidInput as error:
        names_a_field(error, "Canary checkout: spec.")
        return
    event("translated")
    assert in_kubernetes(result) == result
    plan(result)


@given(st.data(), JUNK)
def test_whatever_a_field_holds_is_translated_or_an_error(data: t.Any, junk: t.Any) -> None:
    """No value of any field crashes the translation, or leads to a plan that is refused."""
    rollout = argo(
        [
            {"setWeight": 5},
            {"pause": {"duration": 5}},
            {"setHeaderRoute": {"name": "a", "match": []}},
            {"analysis": uses("quality")},
        ]
    )
    quality, canary = template(measured(successCondition="result[0] > 5")), flagger({"name": "q", "query": "up"})
    which = data.draw(st.sampled_from(("rollout", "template", "canary")))
    given_one = {"rollout": rollout, "template": quality, "canary": canary}[which]
    path = data.draw(st.sampled_from([path[:end] for path in leaves(given_one) for end in range(1, len(path) + 1)]))
    part: t.Any = given_one
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = junk
    try:
        result = manifests.flagger(canary) if which == "canary" else manifests.argo(rollout, [quality])
    except InvalidInput as error:
        names_a_field(error, "Rollout", "AnalysisTemplate", "Canary", "kind:", "There must be one", "objects[0]:")
        return
    event("translated")
    plan(result)
