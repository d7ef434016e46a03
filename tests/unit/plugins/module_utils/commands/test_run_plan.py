# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout refuses before anything is read: plans that cannot be, and judges that could never judge."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.commands.run_plan import planned
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout

URL = "http://prometheus.monitoring:9090"
METRIC = {"name": "queue", "kind": "value", "query": "queue", "limit": 5}
HANGING = {"name": "stuck", "kind": "hanging"}
# As the role gives them where nobody has said anything.
AS_DEFAULT = {"source": "auto", "metrics": [], "prometheus_url": "", "warm_up": 0, "interval": ""}


def plan(**options: t.Any) -> Rollout:
    given = {"service": "reviews", "namespace": "shop", "state": "opened", "stable": "v1", "canary": "v2", **options}
    checked = ArgumentSpecValidator(rollout.SPEC.options, **rollout.SPEC.rules()).validate(given)
    assert not checked.error_messages, checked.error_messages
    return planned(ServiceRef("reviews", "shop"), checked.validated_parameters)


def by_pods(**options: t.Any) -> Rollout:
    return plan(route_api="replicas", stable="shop", canary="shop-canary", image="shop:2", steps=[10], **options)


@pytest.mark.parametrize(
    "judged_by",
    [
        AS_DEFAULT,
        {**AS_DEFAULT, "interval": "2.5", "warm_up": "30"},
        {**AS_DEFAULT, "prometheus_url": URL, "metrics": [METRIC]},
        {**AS_DEFAULT, "source": "proxies", "prometheus_url": URL, "metrics": [HANGING]},
    ],
)
def test_what_can_be_judged_is_planned(judged_by: dict[str, t.Any]) -> None:
    assert [step.weight for step in plan(steps=[50], judged_by=judged_by).steps] == [50, 100]


@pytest.mark.parametrize(
    ("judged_by", "words"),
    [
        ({"metrics": [{"name": "e", "kind": "erors"}]}, r"judged_by: value of kind must be one of: errors, .*erors"),
        ({"metrics": [{**METRIC, "limits": 5}]}, "judged_by: .*limits"),
        ({"metrics": [METRIC]}, "queue has a query, which needs prometheus_url"),
        ({"metrics": [{**METRIC, "limit": None}], "prometheus_url": URL}, "set limit, floor or max_ratio"),
        ({"source": "prometheus"}, "judged_by: source is prometheus but all of the following are missing"),
        ({"source": "proxy"}, "judged_by: value of source must be one of"),
        ({"prometheus_url": "prometheus:9090"}, "prometheus_url: 'prometheus:9090' is not an address"),
        ({"interval": "often"}, "judged_by: .*interval"),
        ({"interval": 0.01}, "interval must be between 0.1 and 604800"),
        ({"warm_up": -1}, "warm_up must be between 0 and 604800"),
        ({"warm_up": 540}, r"steps\[0\] is judged for 60 s after a warm_up of 540 s, and ends at 600 s; make deadline"),
    ],
)
def test_what_could_never_be_judged_is_refused_before_the_first_step(judged_by: dict[str, t.Any], words: str) -> None:
    asked = {**AS_DEFAULT, **judged_by}
    with pytest.raises(InvalidInput, match=words):
        plan(steps=[50], pause=60, judged_by=asked)
    assert plan(steps=[50], pause=60, judged_by=asked, analysis=False), "nothing is judged"
    assert plan(steps=[50], pause=60), "nobody has said by what"


def test_a_warm_up_counts_at_the_steps_alone_that_are_judged() -> None:
    steps = [{"weight": 10, "pause": 300, "deadline": 301, "analysis": False}, 50]
    assert plan(steps=steps, judged_by={**AS_DEFAULT, "warm_up": 60})


def test_by_pods_only_prometheus_judges() -> None:
    for judged_by in (AS_DEFAULT, {**AS_DEFAULT, "source": "proxies", "prometheus_url": URL}):
        with pytest.raises(InvalidInput, match=r"a canary by pods has no proxies .* of reviews"):
            by_pods(judged_by=judged_by)
    assert by_pods(judged_by={**AS_DEFAULT, "prometheus_url": URL, "metrics": [METRIC]})
    assert by_pods(judged_by=AS_DEFAULT, analysis=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [10], "by": 3}, "by would have no effect beside steps"),
        ({"steps": [10], "start": 5, "stop": 50}, "start and stop would have no effect beside steps"),
        ({"steps": [80, 90, 100], "keep": {"v3": 20}}, r"steps\[0\].weight is 80, but keep leaves 80 percent for v2"),
        ({"steps": [50, 90], "keep": {"v3": 20}}, r"steps\[1\].weight is 90, .*below 80, or leave it out"),
    ],
)
def test_what_would_have_no_effect_is_refused(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(**options)


def test_everything_that_keep_leaves_is_the_last_step() -> None:
    found = plan(steps=[50], keep={"v3": 20})
    assert [found.weights(step.weight)["v2"] for step in found.steps] == [50, 80]
    assert [step.weight for step in plan(shape="linear", start=20, by=40).steps] == [20, 60, 100]
