# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a Flagger Canary as metrics of a rollout. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from . import conditions
from .manifest import Manifest, is_template

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .manifest import Node
    from .translation import Json, Translation

SUCCESS_RATE: t.Final = "request-success-rate"
DURATION: t.Final = "request-duration"
_PLACEHOLDER: t.Final = re.compile(r"\{\{-?\s*(variables\.[\w-]+|[a-z]+)\s*-?\}\}")
_INTERVAL: t.Final = "1m"
"""The window of a query where the metric does not say."""
_BY_HAND: t.Final = (
    "Read the number in a task and give it to a metric of kind value with `value`, or check it in a task file "
    "(rollout_after_step). See docs/judging.md."
)


@dataclass
class Metrics:
    """The metrics of a Canary. threshold: failed checks that end it. by_pods: no proxies count the requests."""

    translation: Translation
    templates: Mapping[tuple[str, str], Manifest]
    canary: Manifest
    threshold: int
    by_pods: bool
    made: list[Json] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def add(self, one: Node) -> None:
        """Add one metric, or list it."""
        name = one.text("name")
        bounds = self._bounds(one, name)
        if name in (SUCCESS_RATE, DURATION):
            metric = self._built_in(one, name, bounds)
        elif (reference := one.mapping("templateRef")) is not None:
            metric = self._of_template(one, reference, name, bounds)
        elif one.has("query"):
            metric = self._of_query(one, name, one.text("query"), bounds, {})
        else:
            one.list_missing("", f"{name} has neither templateRef nor query, so it measures nothing.", "Leave it out.")
            return
        if metric is None:
            return
        taken = {other["name"] for other in self.made}
        if metric["name"] in taken:
            raise one.error("name", f"is {name!r} twice; Flagger keeps one number for both.")
        self.made.append(metric)

    def _bounds(self, one: Node, name: str) -> conditions.Bounds:
        between = one.mapping("thresholdRange")
        if between is not None:
            one.leave_out("threshold")
            return conditions.Bounds(between.number("min", -1e15, 1e15), between.number("max", -1e15, 1e15))
        old = one.number("threshold", -1e15, 1e15)
        if name == SUCCESS_RATE:
            return conditions.Bounds(floor=old)
        return conditions.Bounds(limit=0.0 if old is None else old)

    def _built_in(self, one: Node, name: str, bounds: conditions.Bounds) -> Json | None:
        if self.by_pods:
            one.list_missing(
                "",
                "Without a mesh nobody counts the requests of a version.",
                "Write a metric of kind value with a query of your own.",
                blocking=True,
            )
            return None
        one.leave_out("interval", "templateVariables")
        floor, most = conditions.shares(bounds, 100.0)
        if name == SUCCESS_RATE and floor is not None and most is None and 0 <= floor <= 100:
            limit = round(100.0 - floor, 6)
            return {"name": name, "critical": True, "kind": "errors", "compare": False, "limit": limit}
        if name == DURATION and bounds.limit is not None and not bounds.floor and bounds.limit > 0:
            metric = {"name": name, "critical": True, "kind": "latency", "compare": False, "quantile": 0.99}
            return {**metric, "limit": bounds.limit}
        one.list_missing(
            "",
            f"{name} has no bound that a rollout knows: a minimum of percent, or a maximum of milliseconds.",
            "Set `limit` of a metric of kind errors or latency.",
            blocking=bounds != conditions.Bounds(),
        )
        return None

    def _of_template(self, one: Node, reference: Node, name: str, bounds: conditions.Bounds) -> Json | None:
        reference.leave_out("kind", "apiVersion")
        key = (reference.text("namespace") or self.canary.namespace, reference.text("name"))
        template = self.templates.get(key) or self.templates.get(("", key[1]))
        if template is None:
            one.list_missing(
                "",
                f"The MetricTemplate {key[1]} was not given.",
                f"Give the manifest of MetricTemplate {key[1]} too.",
                blocking=True,
            )
            return None
        if template not in self.translation.manifests:
            self.translation.manifests.append(template)
        spec = template.root.mapping("spec")
        provider = spec.mapping("provider") if spec else None
        if spec is None or provider is None:
            raise template.error(("spec", "provider"), "is missing.")
        kind = provider.text("type")
        if kind != "prometheus":
            one.leave_out("interval", "thresholdRange", "threshold", "templateVariables")
            spec.list_missing("", f"{name} is measured by {kind}, not by Prometheus.", _BY_HAND, blocking=True)
            return None
        variables = one.mapping("templateVariables")
        values = {f"variables.{key}": variables.text(key) for key in variables.value} if variables else {}
        metric = self._of_query(spec, name, spec.text("query"), bounds, values, one)
        if metric is not None:
            self._server(provider)
        return metric

    def _of_query(
        self,
        holder: Node,
        name: str,
        query: str,
        bounds: conditions.Bounds,
        values: Mapping[str, str],
        one: Node | None = None,
    ) -> Json | None:
        """Return the metric of a query; None, and the node that holds it listed, if it cannot be translated."""
        one = one or holder
        interval = one.text("interval", _INTERVAL)
        known = {
            "namespace": "$namespace",
            "service": "$service",
            "target": "$service-$version",
            "interval": interval,
            "name": self.canary.name,
            **{key: conditions.escaped(value) for key, value in values.items()},
        }
        text, unknown = conditions.substituted(conditions.escaped(query.strip()), known, _PLACEHOLDER)
        if unknown or is_template(text) or not text or bounds == conditions.Bounds():
            what = f"{{{{ {', '.join(sorted(unknown))} }}}}" if unknown else "a template that no placeholder fits"
            why = "its query is empty" if not text else f"its query has {what}"
            why = "it has no bounds" if bounds == conditions.Bounds() else why
            one.list_missing(
                "", f"{name} is not translated, because {why}.", "Write a metric of kind value.", blocking=True
            )
            return None
        metric = conditions.metric_of(name, text, bounds, self._own())
        if self.by_pods and metric["kind"] != "value":
            metric = {"name": name, "critical": True, "kind": "value", "query": text, **bounds.options()}
        if metric["kind"] != "value":
            self.translation.note(holder, "query", f"{name} becomes a metric of kind {metric['kind']}, counted here.")
            return metric
        if "$service-$version" in text:
            self.translation.note(
                holder, "query", "{{ target }} becomes $service-$version, the Deployment as the role versions names it."
            )
        elif "$version" not in text:
            self.translation.note(
                holder, "query", f"{name} runs as it is. Put $version into it unless it measures the canary anyway."
            )
        return {**metric, "consecutive": min(self.threshold, 1000)}

    def _own(self) -> list[str]:
        """Return the names under which Flagger's versions are counted, but for those of the primary."""
        names = ("$service", self.canary.name)
        return [*names, *(f"{name}-canary" for name in names), "$service-$version"]

    def _server(self, provider: Node) -> None:
        address = provider.text("address")
        if conditions.is_plain_url(address):
            self.urls += [address] if address not in self.urls else []
        provider.list_missing(
            "secretRef", "Credentials are not copied.", "Set rollout_prometheus_token or the like from a vault."
        )
        provider.list_missing(
            "headers", "Headers can hold credentials and are not copied.", "Set rollout_prometheus_headers."
        )
        provider.list_missing(
            "insecureSkipVerify",
            "Certificates are always verified.",
            "Set rollout_prometheus_ca_cert to the authority's file.",
        )
        provider.leave_out("region")
