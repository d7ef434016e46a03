# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Rollout of Argo Rollouts as the variables of a rollout. Pure.

The facts are those of the API argoproj.io/v1alpha1 and its controller, version 1.9.
"""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..rollout.steps import MAX_WAIT_SECONDS
from . import autoscaler, take_over
from .argo_analysis import KINDS, Analysis
from .argo_steps import Steps
from .manifest import Manifest, Node
from .translation import LONGEST_PAUSE, Json, Translation, add_deadlines, tidy

if t.TYPE_CHECKING:
    from collections.abc import Iterable

DEADLINE: t.Final = 600.0
"""Seconds in which an update must make progress where the Rollout does not say."""
RETIRE_AFTER: t.Final = 30.0
"""Seconds that the old ReplicaSet stays where the Rollout does not say."""
WORKLOAD: t.Final = ("replicas", "selector", "template", "minReadySeconds", "workloadRef")
"""Fields that belong to the Deployments of the versions; they are returned unchanged."""
LEFT_OUT: t.Final = ("analysis", "restartAt", "revisionHistoryLimit")
_ROUTERS: t.Final = ("nginx", "alb", "smi", "ambassador", "appMesh", "traefik", "apisix", "plugins")
_GATEWAY_API: t.Final = "argoproj-labs/gatewayAPI"
_ROUTES: t.Final = {"httpRoute", "httpRoutes", "grpcRoute", "grpcRoutes", "namespace"}
_BY_MESH: t.Final = "Route the service by a VirtualService or, in an Istio mesh, by an HTTPRoute."


def from_argo_rollout(
    rollout: t.Any,
    templates: Iterable[t.Any] = (),
    services: Iterable[t.Any] = (),
    virtual_services: Iterable[t.Any] = (),
    autoscaler_of: t.Any = None,
    stable: str = "",
    canary: str = "",
) -> Json:
    """Return the translation of a Rollout. See Translation.result, and `workload` and `autoscale` beside it.

    templates: AnalysisTemplates and ClusterAnalysisTemplates. services, virtual_services: of the namespace, to find the
    Service that callers use. autoscaler_of: the HorizontalPodAutoscaler of the Rollout. stable, canary: the versions.
    Raises InvalidInput naming the object and the field for what is no such manifest.
    """
    main = Manifest(rollout, "Rollout")
    translation = Translation(main)
    spec = main.root.needed("spec")
    workload = _workload(spec)
    strategy = spec.mapping("strategy")
    canary_node = strategy.mapping("canary") if strategy else None
    blue_green = strategy.mapping("blueGreen") if strategy else None
    if canary_node is None and blue_green is None:
        raise main.error(("spec", "strategy"), "has neither canary nor blueGreen, so there is nothing to translate.")
    if canary_node is not None and blue_green is not None:
        raise main.error(("spec", "strategy"), "has canary and blueGreen; Argo refuses that.")
    translation.set("ns", main.namespace)
    if not main.namespace:
        translation.variables.pop("ns")
        translation.need("ns", "The manifest has no namespace.")
    deadline = _deadline(translation, spec)
    foreign = [
        str(node.value.get(name) or "")
        for node in filter(None, [canary_node, blue_green])
        for name in ("canaryService", "stableService", "activeService", "previewService")
    ]
    virtual_services = list(virtual_services)
    analysis = Analysis(translation, _by_name(templates), main, foreign, _hosts(virtual_services))
    if canary_node is not None:
        _canary(translation, analysis, canary_node, spec, deadline)
    elif blue_green is not None:
        _blue_green(translation, analysis, blue_green, deadline)
    _service(translation, canary_node or blue_green, services, virtual_services)
    _versions(translation, stable, canary)
    autoscale = autoscaler.translate(translation, autoscaler_of, ("Rollout",), main.name) if autoscaler_of else {}
    return translation.result(take_over=take_over.of_rollout(main), workload=workload, autoscale=autoscale)


def _workload(spec: Node) -> Json:
    """Return the fields of the pods, and what says nothing about a rollout is left out."""
    spec.leave_out(*LEFT_OUT)
    for name in WORKLOAD:
        spec.note(name)
    for name, reason, instead in (
        ("paused", "A paused Rollout does not go on.", "Resume it, let it finish, then take it over."),
        (
            "rollbackWindow",
            "There are no skipped steps for a rollback to an earlier version.",
            "Roll back at any time.",
        ),
    ):
        spec.list_missing(name, reason, instead)
    return {name: spec.value[name] for name in WORKLOAD if spec.has(name)}


def _by_name(templates: Iterable[t.Any]) -> dict[tuple[str, str], Manifest]:
    found = (Manifest(one, *KINDS) for one in templates)
    return {(one.kind, one.name): one for one in found}


def _deadline(translation: Translation, spec: Node) -> float:
    given = spec.number("progressDeadlineSeconds", 1.0, 1e9)
    deadline = min(given or DEADLINE, MAX_WAIT_SECONDS)
    translation.set("rollout_deadline", tidy(deadline))
    if given and given > MAX_WAIT_SECONDS:
        spec.list_missing("progressDeadlineSeconds", "A deadline is a week at most.", "It is cut to a week.")
    if not spec.flag("progressDeadlineAbort") and spec.has("progressDeadlineSeconds"):
        translation.note(spec, "progressDeadlineSeconds", "Here a step that misses its deadline is always rolled back.")
    return deadline


def _canary(translation: Translation, analysis: Analysis, canary: Node, spec: Node, deadline: float) -> None:
    by_pods = analysis.by_pods = _routing(translation, canary)
    background = canary.mapping("analysis")
    start = None
    if background is not None:
        start = background.whole("startingStep", 0, 1000) or 0
        analysis.add(background, waits=False)
    routing = canary.value.get("trafficRouting") or {}
    maximum = 100.0
    if isinstance(routing, dict) and routing.get("maxTrafficWeight") is not None:
        node = canary.mapping("trafficRouting")
        maximum = (node.number("maxTrafficWeight", 1, 1e9) if node else None) or 100.0
    replicas = spec.whole("replicas", 0, 100_000)
    steps = Steps(translation, analysis, 1 if replicas is None else replicas, maximum, start, by_pods)
    nodes = canary.items("steps")
    found = steps.read(nodes)
    if background is not None and start is not None and nodes and start >= len(nodes):
        background.list_missing(
            "startingStep",
            f"The steps end at {len(nodes) - 1}, so this analysis never begins, neither in Argo nor here.",
            "Set a smaller startingStep if it is to judge.",
            blocking=True,
        )
    if not found:
        raise canary.error(
            "steps", "has no share below 100 percent and no traffic routing. Use the playbook rolling_update."
        )
    translation.set("steps", add_deadlines(found, deadline, analysis.warm_up))
    _note_end(translation, canary, nodes, found)
    _analysis(translation, analysis, found, canary)
    _pods(translation, canary, by_pods)


def _note_end(translation: Translation, canary: Node, nodes: list[Node], steps: list[Json]) -> None:
    if not nodes:
        canary.list_missing(
            "maxSurge", "Without steps Argo replaces the pods one after the other.", "Use the playbook rolling_update."
        )
        translation.notes.append(
            {"field": canary.field("steps"), "text": "There are no steps, so all requests are shifted at once."}
        )
    elif not steps[-1]["analysis"] and not steps[-1]["pause"]:
        translation.note(
            canary,
            "steps",
            "The last step, 100 percent, is Argo's promotion: no pause and no analysis. Add them to be safe.",
        )


def _routing(translation: Translation, canary: Node) -> bool:
    """Read who splits the requests; return whether the ratio of pods does."""
    routing = canary.mapping("trafficRouting")
    if routing is None or not routing.value:
        translation.set("rollout_route_api", "replicas")
        translation.need(
            "rollout_image", "The ratio of pods makes the share, and the new image is an option of the run."
        )
        return True
    routing.leave_out("managedRoutes")
    plugins = routing.mapping("plugins")
    gateway = plugins.mapping(_GATEWAY_API) if plugins and set(plugins.value) == {_GATEWAY_API} else None
    if plugins is not None and gateway is not None and not set(gateway.value) - _ROUTES:
        translation.note(plugins, _GATEWAY_API, "The routes of the service are found by its Service, in an Istio mesh.")
        plugins.note(_GATEWAY_API)
        return False
    for name in _ROUTERS:
        routing.list_missing(name, f"Requests that {name} splits are not routed by a mesh.", _BY_MESH, blocking=True)
    istio = routing.mapping("istio")
    if istio is not None:
        _istio(translation, istio)
    return False


def _istio(translation: Translation, istio: Node) -> None:
    for node in [*filter(None, [istio.mapping("virtualService")]), *istio.items("virtualServices")]:
        node.leave_out("name")
        for index, name in enumerate(node.values("routes")):
            if not isinstance(name, str):
                raise node.manifest.error((*node.path, "routes", index), "must be the name of a route.")
        if node.has("routes"):
            translation.note(
                node, "routes", "All routes of the service's host get the share, not only those named here."
            )
            node.note("routes")
        for name in ("tcpRoutes", "tlsRoutes"):
            node.list_missing(
                name, "Only requests of HTTP and gRPC are split.", "Use rollout_route_api: replicas.", blocking=True
            )
    rule = istio.mapping("destinationRule")
    if rule is not None:
        rule.leave_out("name")
        for name in ("canarySubsetName", "stableSubsetName"):
            rule.list_missing(
                name,
                "Argo gives this subset new labels with each update. A version here keeps its subset.",
                "Create a subset for each version with the role routing.",
            )
        rule.list_missing("additionalSubsetNames", "Subsets of others stay unchanged.", "Nothing is needed.")


def _pods(translation: Translation, canary: Node, by_pods: bool) -> None:
    delay = canary.number("scaleDownDelaySeconds", 0.0, 1e9)
    if not by_pods:
        translation.set("rollout_retire_after", tidy(RETIRE_AFTER if delay is None else delay))
    elif delay is not None:
        canary.list_missing("scaleDownDelaySeconds", "Stable itself is updated in place.", "Nothing is needed.")
    steps_of_pods = "Capacity follows the measured load (rollout_capacity)."
    for name, reason, instead in (
        ("abortScaleDownDelaySeconds", "The canary keeps its pods until it has no requests.", "Set rollout_drain."),
        ("scaleDownDelayRevisionLimit", "There is one Deployment for each version.", "Remove old versions yourself."),
        ("dynamicStableScale", "Stable keeps the pods for a rollback until the promotion.", steps_of_pods),
        ("minPodsPerReplicaSet", "There is no minimum for all versions.", "Set `replicas` of the steps."),
        ("replicaProgressThreshold", "All pods that a step needs must be ready.", "Set `replicas` of the steps."),
        ("maxSurge", "Each version has a Deployment of its own.", "Set spec.strategy of the Deployment."),
        ("maxUnavailable", "Each version has a Deployment of its own.", "Set spec.strategy of the Deployment."),
        ("antiAffinity", "It belongs to the pods.", "Set spec.template.spec.affinity of the Deployment."),
        ("canaryMetadata", "Labels of pods do not change when a version is promoted.", "Use the label version."),
        ("stableMetadata", "Labels of pods do not change when a version is promoted.", "Use the label version."),
        ("pingPong", "Both versions are behind one Service.", "Create subsets with the role routing."),
    ):
        canary.list_missing(name, reason, instead)


def _blue_green(translation: Translation, analysis: Analysis, node: Node, deadline: float) -> None:
    seconds = 0.0
    judged = node.mapping("postPromotionAnalysis")
    if judged is not None:
        seconds = analysis.add(judged, waits=True)
    step: Json = {"weight": 100, "pause": min(seconds, LONGEST_PAUSE), "analysis": judged is not None}
    translation.set("steps", add_deadlines([step], deadline, analysis.warm_up))
    delay = node.number("scaleDownDelaySeconds", 0.0, 1e9)
    translation.set("rollout_retire_after", tidy(RETIRE_AFTER if delay is None else delay))
    _analysis(translation, analysis, [step], node)
    translation.note(
        node, "", "Blue-green becomes one step of 100 percent. Smaller steps before it risk fewer requests."
    )
    before = "Use rollout_before for checks before any request is moved, and a step with a cohort for a preview."
    for name, reason, instead in (
        ("prePromotionAnalysis", "Nothing is judged before it has requests.", before),
        ("previewService", "There is no second Service.", before),
        ("previewReplicaCount", "Capacity follows the measured load (rollout_capacity).", "Nothing is needed."),
        ("autoPromotionEnabled", "There is no gate before the first step.", before),
        ("autoPromotionSeconds", "There is no wait before the first step.", before),
        ("scaleDownDelayRevisionLimit", "There is one Deployment for each version.", "Remove old versions yourself."),
        ("maxUnavailable", "Each version has a Deployment of its own.", "Set spec.strategy of the Deployment."),
        ("abortScaleDownDelaySeconds", "The canary keeps its pods until it has no requests.", "Set rollout_drain."),
        ("antiAffinity", "It belongs to the pods.", "Set spec.template.spec.affinity of the Deployment."),
        ("activeMetadata", "Labels of pods do not change when a version is promoted.", "Use the label version."),
        ("previewMetadata", "Labels of pods do not change when a version is promoted.", "Use the label version."),
    ):
        node.list_missing(name, reason, instead)


def _analysis(translation: Translation, analysis: Analysis, steps: list[Json], strategy: Node) -> None:
    """Set the variables of the analysis. Where no metric is translated, the default ones judge the steps."""
    judged = any(step["analysis"] for step in steps)
    if judged and not analysis.metrics:
        text = "No metric is translated, so the default ones judge: failed requests, response times, no answer, codes."
        if analysis.by_pods:
            text = "No metric is translated, and without a mesh there are no default ones, so nothing is judged."
            judged = False
            translation.set("steps", [{**step, "analysis": False} for step in translation.variables["steps"]])
        translation.note(strategy, "", text)
    translation.set("rollout_analysis", judged)
    if not judged:
        return
    if analysis.metrics:
        translation.set("rollout_metrics", analysis.metrics)
    if len(analysis.urls) == 1:
        translation.set("rollout_prometheus_url", analysis.urls[0])
    elif len(analysis.urls) > 1:
        translation.need("rollout_prometheus_url", f"There are several: {', '.join(analysis.urls)}.")
    if analysis.intervals and analysis.urls:
        translation.set("rollout_interval", tidy(max(min(analysis.intervals), 0.1)))
    if analysis.warm_up:
        translation.set("rollout_warm_up", tidy(analysis.warm_up))


def _service(
    translation: Translation, strategy: Node | None, services: Iterable[t.Any], virtual_services: Iterable[t.Any]
) -> None:
    """Find the Service that callers use: the one that the VirtualService claims, or the only one that Argo names."""
    names = {Manifest(one, "Service").name for one in services}
    hosts = _hosts(virtual_services)
    given = [strategy.text(name) for name in ("stableService", "activeService") if strategy] if strategy else []
    stable = next(filter(None, given), "")
    if strategy is not None:
        strategy.list_missing(
            "canaryService",
            "Both versions are behind one Service, and subsets select their pods.",
            "Create subsets with the role routing; the Service is not needed afterwards.",
        )
    found = [host for host in hosts if host in names] or hosts
    if len(set(found)) == 1:
        translation.set("service", found[0])
    elif stable and not found:
        translation.set("service", stable)
        if strategy is not None:
            name = "stableService" if strategy.has("stableService") else "activeService"
            translation.note(strategy, name, "Its selector must select the pods of both versions.")
    else:
        known = ", ".join(sorted(set(found) or names)) or "none were given"
        translation.need("service", f"The Service that callers use. Candidates: {known}.")


def _hosts(virtual_services: Iterable[t.Any]) -> list[str]:
    """Return the short host names of VirtualServices."""
    found = []
    for one in virtual_services:
        manifest = Manifest(one, "VirtualService")
        spec = manifest.root.mapping("spec")
        for index, host in enumerate(spec.values("hosts") if spec else ()):
            if not isinstance(host, str):
                raise manifest.error(("spec", "hosts", index), "must be text.")
            parts = host.split(".")
            if len(parts) == 1 or parts[2:3] == ["svc"]:
                found.append(parts[0])
    return found


def _versions(translation: Translation, stable: str, canary: str) -> None:
    by_pods = translation.variables.get("rollout_route_api") == "replicas"
    reasons = {
        "stable": "The version that serves now: " + ("its Deployment." if by_pods else "its subset, such as v1."),
        "canary": "The new version: " + ("its Deployment." if by_pods else "its subset, such as v2."),
    }
    for name, value in (("stable", stable), ("canary", canary)):
        if value:
            translation.set(name, value)
        else:
            translation.need(name, reasons[name])
    if stable and stable == canary:
        raise InvalidInput(f"stable and canary are both {stable}, but must differ.")
