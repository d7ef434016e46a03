# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests of Argo Rollouts and Flagger, small and with every field that the translation knows."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.runs.plan_from_options import plan_from_options

from .collection import ROOT

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout

Json = dict[str, t.Any]

RATE = """
  sum(rate(istio_requests_total{destination_service=~"{{args.service}}",response_code!~"5.*"}[1m]))
  / sum(rate(istio_requests_total{destination_service=~"{{args.service}}"}[1m]))
"""
DURATION = 'histogram_quantile(0.9, sum(rate(istio_request_duration_milliseconds_bucket{app="x"}[1m])) by (le))'
PROMETHEUS = "http://prometheus.istio-system:9090"


def argo(steps: list[Json] | None = None, *, name: str = "checkout", **canary: t.Any) -> Json:
    """Return a Rollout whose requests are split by Istio."""
    routing = {"istio": {"virtualService": {"name": "checkout", "routes": ["primary"]}}}
    strategy = {"stableService": name, "trafficRouting": routing, "steps": steps or [], **canary}
    metadata = {"name": name, "namespace": "shop"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": metadata,
        "spec": {"replicas": 4, "strategy": {"canary": {k: v for k, v in strategy.items() if v is not None}}},
    }


def template(*metrics: Json, name: str = "quality", kind: str = "AnalysisTemplate", **spec: t.Any) -> Json:
    """Return an AnalysisTemplate."""
    metadata = {"name": name}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"metrics": list(metrics), **spec},
    }


def measured(name: str = "rate", query: str = RATE, **options: t.Any) -> Json:
    """Return a metric of a template that Prometheus measures."""
    return {"name": name, "provider": {"prometheus": {"address": PROMETHEUS, "query": query}}, **options}


def uses(*names: str, **more: t.Any) -> Json:
    """Return a reference to templates."""
    return {"templates": [{"templateName": one} for one in names], **more}


def flagger(*metrics: Json, **analysis: t.Any) -> Json:
    """Return a Canary of Istio."""
    options = {"interval": "30s", "threshold": 5, "metrics": list(metrics), **analysis}
    if not {"stepWeight", "stepWeights", "iterations"} & set(analysis):
        options |= {"stepWeight": 20, "maxWeight": 60}
    spec = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "service": {"port": 80},
        "analysis": options,
    }
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": spec,
    }


def metric_template(query: str, kind: str = "prometheus", **provider: t.Any) -> Json:
    """Return a MetricTemplate."""
    spec = {"provider": {"type": kind, "address": PROMETHEUS, **provider}, "query": query}
    metadata = {"name": "errors", "namespace": "shop"}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": metadata, "spec": spec}


def autoscaler(kind: str, target: str, **spec: t.Any) -> Json:
    """Return a HorizontalPodAutoscaler."""
    reference = {"apiVersion": "x/v1", "kind": kind, "name": target}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    body = {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 8, "metrics": [metric], **spec}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target},
        "spec": body,
    }


def plan(result: Json) -> Rollout:
    """Return the plan that canary_rollout makes of the variables of a translation, with what the user has to set.

    Fails for variables that canary_rollout would refuse.
    """
    to_set = {"rollout_prometheus_url": PROMETHEUS, "rollout_image": "registry.example.com/checkout:2"}
    needed = {one["variable"] for one in result["to_set"]}
    variables = {**{name: value for name, value in to_set.items() if name in needed}, **result["variables"]}
    names = {"ns": "namespace", "service": "service", "stable": "stable", "canary": "canary", "steps": "steps"}
    given = {names.get(name) or name.removeprefix("rollout_"): value for name, value in variables.items()}
    given = {"state": "promoted", "stable": "v1", "canary": "v2", "namespace": "shop", "service": "checkout", **given}
    checked = ArgumentSpecValidator(rollout.SPEC.options, **rollout.SPEC.rules()).validate(given)
    assert not checked.error_messages, checked.error_messages
    return plan_from_options(ServiceRef("checkout", "shop"), checked.validated_parameters)


def lost_fields(given: Json, translate: t.Callable[[Json], Json]) -> list[str]:
    """Return the fields whose absence changes nothing, although nothing says so.

    A field is accounted for if the result without it is another one, or an error; if the result lists or notes it, or
    a field that it is in; or if docs/migration.md lists it as left out.
    """
    whole = translate(given)
    spoken = [one["field"].partition(": ")[2] for one in (*whole["no_counterpart"], *whole["notes"])]
    lost = []
    for path in leaves(given):
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
        if _left_out(path) or any(text == one or text.startswith((f"{one}.", f"{one}[")) for one in spoken if one):
            continue
        try:
            same = translate(without(given, path)) == whole
        except InvalidInput:
            same = False
        if same:
            lost.append(text)
    return lost


def _left_out(path: tuple[str | int, ...]) -> bool:
    """Return whether docs/migration.md lists the field, or one that it is in, as left out."""
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8").partition("## Fields that are left out")[2]
    names = [part for part in path if isinstance(part, str)]
    parts = (".".join(names[start:end]) for end in range(1, len(names) + 1) for start in range(end))
    return any(f"`{part}`" in page for part in parts)


def leaves(value: t.Any, path: tuple[str | int, ...] = ()) -> t.Iterator[tuple[str | int, ...]]:
    """Yield the path of each value that has nothing in it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, item in inside:
        found = True
        yield from leaves(item, (*path, key))
    if not found:
        yield path


def without(value: t.Any, path: tuple[str | int, ...]) -> t.Any:
    """Return the value without one field. An item of a list is replaced by nothing: the list is shorter."""
    if isinstance(value, list):
        index = int(path[0])
        changed = [] if len(path) == 1 else [without(value[index], path[1:])]
        return [*value[:index], *changed, *value[index + 1 :]]
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {key: without(item, path[1:]) if key == path[0] else item for key, item in value.items()}
