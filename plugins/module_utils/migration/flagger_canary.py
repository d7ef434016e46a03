# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Canary of Flagger as the variables of a rollout. Pure.

The facts are those of the API flagger.app/v1beta1 and its controller, version 1.43.
"""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..objects.plain_text import plain_text
from ..rollout.steps import MAX_STEPS, MAX_WAIT_SECONDS
from . import autoscaler, conditions, take_over
from .cohorts import cohort_of, istio_match
from .flagger_metrics import Metrics
from .manifest import Manifest
from .translation import DAY, LONGEST_PAUSE, Json, Translation, add_deadlines, tidy

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .manifest import Node

DEADLINE: t.Final = 600.0
INTERVAL: t.Final = 60.0
LEAST_INTERVAL: t.Final = 10.0
KEPT: t.Final = (
    *("port", "portName", "appProtocol", "trafficDistribution", "targetPort", "portDiscovery", "headless", "timeout"),
    *("backendTimeout", "gateways", "gatewayRefs", "hosts", "delegation", "trafficPolicy", "match", "rewrite"),
    *("retries", "headers", "mirror", "corsPolicy", "apex", "primary", "canary", "unmanagedMetadata"),
)
"""Fields of the Services and routes that Flagger has made. They stay there, and are returned unchanged."""
_MESHES: t.Final = ("", "istio", "gatewayapi:v1", "gatewayapi:v1beta1")
_WEBHOOKS: t.Final = {
    "": "Use a check in rollout_after_step, a task file that runs after each verdict.",
    "rollout": "Use rollout_after_step, a task file that runs after each verdict; for load tests rollout_before_step.",
    "pre-rollout": "Use rollout_before, a task file that runs before the first step.",
    "confirm-rollout": "Use rollout_before, a task file that runs before the first step, or approve the job.",
    "post-rollout": "Use rollout_on_promote and rollout_on_rollback.",
    "rollback": "Run the playbook rollback, or the rulebook rollback_on_alert.",
    "event": "Use the hooks of the role, such as rollout_on_promote.",
}


def from_flagger_canary(
    canary: t.Any, templates: Iterable[t.Any] = (), autoscaler_of: t.Any = None, stable: str = "", new: str = ""
) -> Json:
    """Return the translation of a Canary. See Translation.result, and `routes` and `autoscale` beside it.

    templates: MetricTemplates. autoscaler_of: the HorizontalPodAutoscaler of the target. stable, new: the versions.
    Raises InvalidInput naming the object and the field for what is no such manifest.
    """
    main = Manifest(canary, "Canary")
    translation = Translation(main)
    spec = main.root.needed("spec")
    by_pods = _provider(translation, spec)
    target = _target(spec)
    routes = _service(translation, spec, target)
    deadline = min(spec.number("progressDeadlineSeconds", 1.0, 1e9) or DEADLINE, MAX_WAIT_SECONDS)
    translation.set("rollout_deadline", tidy(deadline))
    analysis = spec.mapping("analysis") or spec.mapping("canaryAnalysis")
    if spec.has("analysis"):
        spec.list_missing(
            "canaryAnalysis", "It is the old name of analysis, and has no effect beside it.", "Leave it out."
        )
    if analysis is None:
        translation.set("steps", [{"weight": 100, "pause": 0, "analysis": False}])
        translation.set("rollout_analysis", False)
    else:
        _analysis(translation, spec, analysis, templates, deadline, by_pods)
    _rest(spec)
    for name, value, what in (("stable", stable, "serves now"), ("canary", new, "is new")):
        if value:
            translation.set(name, value)
        else:
            example = "its Deployment" if by_pods else "its subset, such as v1 or v2"
            translation.need(name, f"The version that {what}: {example}.")
    if stable and stable == new:
        raise InvalidInput(f"stable and canary are both {stable}, but must differ.")
    autoscale = autoscaler.translate(translation, autoscaler_of, ("Deployment",), target) if autoscaler_of else {}
    return translation.result(take_over=take_over.of_canary(main), routes=routes, autoscale=autoscale)


def _provider(translation: Translation, spec: Node) -> bool:
    """Read who splits the requests; return whether only pods do."""
    provider = spec.text("provider")
    if provider == "kubernetes":
        if (spec.value.get("analysis") or spec.value.get("canaryAnalysis") or {}).get("stepWeight") is None:
            raise spec.error(
                "provider", "is kubernetes, where Flagger replaces all pods at once. Use the playbook rolling_update."
            )
        translation.set("rollout_route_api", "replicas")
        translation.need("rollout_image", "The new image, which is an option of the run.")
        return True
    if not provider:
        translation.note(spec, "provider", "Without it an option of Flagger's controller decides. Istio is assumed.")
    if provider not in _MESHES:
        spec.list_missing(
            "provider",
            f"Requests that {plain_text(provider)} splits are not routed by a mesh.",
            "Route the service by a VirtualService or, in an Istio mesh, by an HTTPRoute.",
            blocking=True,
        )
    return False


def _target(spec: Node) -> str:
    reference = spec.needed("targetRef")
    reference.leave_out("apiVersion")
    kind, name = reference.text("kind"), reference.text("name")
    for field in ("kind", "name"):
        if not reference.value.get(field):
            raise reference.error(field, "is missing.")
    if kind != "Deployment":
        reference.list_missing(
            "kind",
            f"A {plain_text(kind)} has no versions side by side.",
            "Run each version as a Deployment.",
            blocking=True,
        )
    return name


def _service(translation: Translation, spec: Node, target: str) -> Json:
    if spec.manifest.namespace:
        translation.set("ns", spec.manifest.namespace)
    else:
        translation.need("ns", "The manifest has no namespace.")
    service = spec.mapping("service")
    name = service.text("name") if service else ""
    translation.set("service", name or target)
    if service is None:
        return {}
    for field in KEPT:
        service.note(field)
    service.list_missing("meshName", "App Mesh is not supported.", "Leave it out.")
    service.list_missing("backends", "App Mesh is not supported.", "Leave it out.")
    return {field: service.value[field] for field in KEPT if service.has(field)}


def _analysis(
    translation: Translation, spec: Node, analysis: Node, templates: Iterable[t.Any], deadline: float, by_pods: bool
) -> None:
    interval = max(analysis.seconds("interval") or INTERVAL, LEAST_INTERVAL)
    if interval > DAY:
        analysis.list_missing(
            "interval", "An interval is a day at most.", "It is cut. Use a manual gate for longer waits."
        )
        interval = DAY
    threshold = analysis.whole("threshold", -1_000_000, 1_000_000) or 1
    given = (Manifest(one, "MetricTemplate") for one in templates)
    metrics = Metrics(
        translation, {(one.namespace, one.name): one for one in given}, spec.manifest, max(threshold, 1), by_pods
    )
    for one in analysis.items("metrics"):
        metrics.add(one)
    judged = bool(metrics.made)
    steps = _steps(translation, analysis, interval, judged, by_pods)
    _webhooks(translation, analysis, steps)
    translation.set("steps", add_deadlines(steps, deadline, 0.0))
    translation.set("rollout_analysis", judged)
    if judged:
        _judging(translation, spec, analysis, metrics, interval)
    elif spec.has("metricsServer"):
        spec.list_missing("metricsServer", "Nothing is measured.", "Set rollout_prometheus_url with rollout_metrics.")
    for name, reason, instead in (
        ("mirror", "Mirroring is no part of a step.", "Use a task of canary_mirror in rollout_before_step."),
        ("mirrorWeight", "Mirroring is no part of a step.", "Use `percent` of canary_mirror."),
        ("stepWeightPromotion", "A promotion moves no pods, so it needs no steps of its own.", "Nothing is needed."),
        ("primaryReadyThreshold", "All pods that a step needs must be ready.", "Set `replicas` of the steps."),
        ("canaryReadyThreshold", "All pods that a step needs must be ready.", "Set `replicas` of the steps."),
        ("alerts", "There are no alerts.", "Use rollout_on_promote and rollout_on_rollback, task files of your own."),
    ):
        analysis.list_missing(name, reason, instead)
    _affinity(analysis)


def _judging(translation: Translation, spec: Node, analysis: Node, metrics: Metrics, interval: float) -> None:
    translation.set("rollout_metrics", metrics.made)
    server = spec.text("metricsServer")
    urls = [*metrics.urls, *([server] if conditions.is_plain_url(server) and server not in metrics.urls else [])]
    if len(urls) == 1:
        translation.set("rollout_prometheus_url", urls[0])
    elif urls or any(one["kind"] == "value" for one in metrics.made):
        known = ", ".join(urls) or "none, only Flagger's option -metrics-server"
        translation.need("rollout_prometheus_url", f"The Prometheus of the queries. The manifests name: {known}.")
    if urls:
        translation.set("rollout_interval", tidy(interval))
    translation.note(
        analysis,
        "threshold",
        "Failed checks count in a row, and numbers of requests are judged by tests. Without evidence a step is held.",
    )


def _steps(translation: Translation, analysis: Node, interval: float, judged: bool, by_pods: bool) -> list[Json]:
    """Return the steps; the last one is the promotion, unless the ratio of pods makes the share."""
    iterations, matches = analysis.whole("iterations", 0, 1_000_000) or 0, analysis.items("match")
    end: Json = {"weight": 100, "pause": 0, "analysis": False}
    if iterations * interval > LONGEST_PAUSE:
        analysis.list_missing("iterations", "A pause is five days at most.", "Its pause is cut.")
    wait = tidy(min(iterations * interval, LONGEST_PAUSE))
    for name in ("maxWeight", "stepWeight", "stepWeights") if iterations else ():
        analysis.list_missing(name, "With iterations Flagger does not use it.", "Leave it out.")
    if iterations and matches:
        found = [one for one in map(istio_match, matches) if one]
        if not found or by_pods:
            return [end]
        translation.note(
            analysis, "match", "The requests of the match go to the canary; all others wait for the promotion."
        )
        return [{"weight": 0, "cohort": cohort_of(found), "pause": wait, "analysis": judged}, end]
    if matches:
        reason = "A share of the requests of a match has no counterpart: a cohort goes to the canary entirely."
        instead = "Use a cohort in the steps, or canary_header_route with weights of its own."
        analysis.list_missing("match", reason, instead, blocking=True)
    if iterations:
        translation.note(
            analysis, "iterations", "All requests are shifted at once, and judged for as long as the checks took."
        )
        return [{"weight": 100, "pause": wait, "analysis": judged}]
    weights = _weights(analysis)
    steps: list[Json] = [
        {"weight": tidy(one), "pause": tidy(min(interval, LONGEST_PAUSE)), "analysis": judged} for one in weights
    ]
    if steps[-1]["weight"] < 100 and not by_pods:
        translation.note(
            analysis, "maxWeight", "The last step, 100 percent, is Flagger's promotion: no pause, no analysis."
        )
        steps.append(end)
    return steps


def _weights(analysis: Node) -> list[float]:
    """Return the shares that Flagger goes through. Its last one can be above maxWeight, but not above 100."""
    most = analysis.number("maxWeight", 0, 100) or 100.0
    by = analysis.number("stepWeight", 0, 100)
    listed = analysis.values("stepWeights")
    if by:
        analysis.list_missing("stepWeights", "With stepWeight Flagger does not use it.", "Leave it out.")
        found, weight = [], 0.0
        while weight < most:
            weight = min(weight + by, 100.0)
            found.append(round(weight, 3))
            if len(found) > MAX_STEPS:
                raise analysis.error("stepWeight", f"makes more than {MAX_STEPS} steps. Raise it.")
        return found
    if not listed:
        raise analysis.error(
            "stepWeight", "is missing, and so are stepWeights and iterations: the Canary has no steps."
        )
    analysis.note("stepWeights")
    found = []
    for index, one in enumerate(listed):
        if isinstance(one, bool) or not isinstance(one, (int, float)) or not 0 < one <= 100:
            raise analysis.manifest.error(
                (*analysis.path, "stepWeights", index), "must be a number above 0, at most 100."
            )
        if found and one <= found[-1]:
            raise analysis.manifest.error((*analysis.path, "stepWeights", index), "must be above the one before.")
        if not found or found[-1] < most:
            found.append(float(one))
    if found[-1] < most:
        found.append(100.0)  # the controller goes to the end where the list ends before maxWeight
    return found


def _webhooks(translation: Translation, analysis: Node, steps: list[Json]) -> None:
    """Turn the two webhooks that confirm into gates, and list the others."""
    for one in analysis.items("webhooks"):
        kind = one.text("type")
        gated = [step for step in steps if step["weight"] < 100]
        if kind == "confirm-promotion" and gated:
            gated = gated[-1:]
        if kind in ("confirm-promotion", "confirm-traffic-increase") and gated:
            for step in gated:
                step |= {"gate": "manual", "gate_seconds": tidy(MAX_WAIT_SECONDS), "gate_default": "rollback"}
            one.note()
            translation.note(one, "", "It becomes a manual gate, which a person or a job answers (docs/rollout.md).")
            continue
        instead = _WEBHOOKS.get(kind, _WEBHOOKS[""])
        one.list_missing("", f"A webhook of the type {plain_text(kind) or 'rollout'} has no counterpart.", instead)


def _affinity(analysis: Node) -> None:
    sticky = analysis.mapping("sessionAffinity")
    if sticky is None:
        return
    given = (
        (name, sticky.value.get(key))
        for name, key in (("cookie", "cookieName"), ("max_age", "maxAge"), ("path", "path"))
    )
    options = ", ".join(f"{name}: {plain_text(str(value))}" for name, value in given if value is not None)
    analysis.list_missing(
        "sessionAffinity",
        "Sticky users are no part of a step.",
        f"Use a task of canary_sticky ({options or 'with its defaults'}) before the rollout.",
    )


def _rest(spec: Node) -> None:
    scaler = spec.mapping("autoscalerRef")
    if scaler is not None:
        scaler.leave_out("apiVersion")
        scaler.note("name")
        if not scaler.text("kind"):
            raise scaler.error("kind", "is missing.")
        if scaler.text("kind") != "HorizontalPodAutoscaler":
            scaler.list_missing(
                "kind",
                "It is not written by a rollout.",
                "Set minReplicaCount of each version (docs/rollout.md, capacity).",
            )
        for name in ("primaryScalerQueries", "primaryScalerReplicas"):
            scaler.list_missing(name, "Each version has an autoscaler of its own.", "Use the role autoscale.")
    for name, reason, instead, blocking in (
        ("ingressRef", "Requests of an Ingress are not split.", "Route them through a gateway of the mesh.", True),
        ("routeRef", "Requests of APISIX are not split.", "Route them through a gateway of the mesh.", True),
        ("upstreamRef", "Requests of Gloo are not split.", "Route them through a gateway of the mesh.", True),
        ("skipAnalysis", "It skips all steps.", "Use the playbook promote for a release without steps.", False),
        ("revertOnDeletion", "Nothing is deleted.", "Set it to false before you delete the Canary.", False),
        ("suspend", "A suspended Canary does nothing.", "Nothing is needed.", False),
    ):
        if spec.value.get(name) is False:
            spec.note(name)
        else:
            spec.list_missing(name, reason, instead, blocking=blocking)
