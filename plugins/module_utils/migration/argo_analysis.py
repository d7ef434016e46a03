# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The AnalysisTemplates of Argo Rollouts as metrics of a rollout. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from . import conditions
from .manifest import Manifest, Node, duration, is_template
from .translation import DAY

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .translation import Json, Translation

KINDS: t.Final = ("AnalysisTemplate", "ClusterAnalysisTemplate")
_ARGUMENT: t.Final = re.compile(r"\{\{\s*args\.([\w.-]+)\s*\}\}")
_LABEL: t.Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_BY_HAND: t.Final = (
    "Read the number in a task and give it to a metric of kind value with `value`, or check it in a task file "
    "(rollout_after_step). See docs/judging.md."
)
MOST_ERRORS: t.Final = 4
"""Measurements in a row that Argo lets fail by an error where the metric does not say."""


@dataclass
class Analysis:
    """The analyses of a Rollout, and what they amount to. seconds: how long each reference takes, by its path."""

    translation: Translation
    templates: Mapping[tuple[str, str], Manifest]
    rollout: Manifest
    foreign_services: Sequence[str]
    hosts: Sequence[str] = ()
    by_pods: bool = False
    metrics: list[Json] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    warm_up: float = 0.0
    seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, node: Node, *, waits: bool) -> float:
        """Add the metrics of one reference to templates; return the seconds that its measurements take.

        waits: whether the rollout waits for its end, so that an analysis without a number of measurements has none.
        """
        node.leave_out("analysisRunMetadata", "measurementRetention")
        dry = [one.text("metricName") for one in node.items("dryRun")]
        given = self._arguments(node)
        seconds = 0.0
        for one in node.items("templates"):
            seconds = max(seconds, self._template(one, "templateName", given, dry, waits=waits))
        return seconds

    def _arguments(self, node: Node) -> dict[str, str | None]:
        """Return the values of the arguments; None for one that only the cluster of Argo knows."""
        return {one.text("name"): self._argument(one) for one in node.items("args")}

    def _argument(self, one: Node) -> str | None:
        if one.has("value"):
            return one.text("value")
        source = one.mapping("valueFrom")
        reference = source.mapping("fieldRef") if source else None
        path = reference.text("fieldPath") if reference else ""
        metadata = self.rollout.value.get("metadata") or {}
        found = (
            metadata.get(path.removeprefix("metadata.")) if path in ("metadata.name", "metadata.namespace") else None
        )
        if label := _LABEL.fullmatch(path):
            found = (metadata.get(label[1]) or {}).get(label[2])
        if isinstance(found, str):
            return found
        if source:
            source.list_missing(
                "secretKeyRef", "Secrets are not read.", "Put the value in a vault, and set its variable."
            )
            source.list_missing(
                "podTemplateHashValue",
                "Argo's hash of a version is no label of its pods here.",
                "Use $version in queries.",
            )
        return None

    def _template(self, one: Node, key: str, given: Mapping[str, str | None], dry: list[str], *, waits: bool) -> float:
        name = one.text(key)
        kind = KINDS[one.flag("clusterScope")]
        template = self.templates.get((kind, name))
        if template is None:
            one.list_missing(
                key,
                f"The {kind} {name} was not given, so its metrics are not translated.",
                f"Give the manifest of {kind} {name} too.",
                blocking=True,
            )
            self.translation.manifests[0].read.discard((*one.path, key))
            return 0.0
        first = template not in self.translation.manifests
        if first:
            self.translation.manifests.append(template)
        return self._spec(template, template.root.needed("spec"), given, dry, waits=waits)

    def _spec(
        self, template: Manifest, spec: Node, given: Mapping[str, str | None], dry: list[str], *, waits: bool
    ) -> float:
        spec.leave_out("measurementRetention")
        values: dict[str, str | None] = {}
        for one in spec.items("args"):
            name = one.text("name")
            default = self._argument(one)
            values[name] = given.get(name, default)
        values |= {name: value for name, value in given.items() if name not in values}
        dry = dry + [one.text("metricName") for one in spec.items("dryRun")]
        seconds = 0.0
        for one in spec.items("templates"):
            seconds = max(seconds, self._template(one, "templateName", values, dry, waits=waits))
        for one in spec.items("metrics"):
            seconds = max(seconds, self._metric(template, one, values, dry, waits=waits))
        return seconds

    def _metric(
        self, template: Manifest, one: Node, values: Mapping[str, str | None], dry: list[str], *, waits: bool
    ) -> float:
        name = one.text("name")
        interval, delay = _seconds(one, "interval", values), _seconds(one, "initialDelay", values) or 0.0
        count = _count(one, "count")
        seconds = delay + (max(count, 1) - 1) * (interval or 0.0)
        if waits and interval and not count:
            one.list_missing(
                "interval",
                "Measurements without a count never end, so Argo refuses them in a step.",
                "The step is judged for at least its pause.",
            )
        if any(_matches(pattern, name) for pattern in dry):
            one.list_missing(
                "",
                f"{name} is a dry run: it is measured and decides nothing.",
                "Metrics here always decide. Try it with the playbook backtest first.",
            )
            return seconds
        made = self._made(one, name, values)
        if made is None:
            return seconds
        options, unanswered = _limits(self.translation, one)
        metric = {**made, **(options if made["kind"] == "value" else {})}
        if made["kind"] == "value":
            metric["unanswered"] = unanswered
        elif "consecutive" in options:
            self.translation.note(
                one, "failureLimit", f"{name}: a statistical test decides here, not a number of failed measurements."
            )
        self._keep(template, one, metric)
        if interval:
            self.intervals.append(interval)
        self.warm_up = max(self.warm_up, delay)
        return seconds

    def _keep(self, template: Manifest, one: Node, metric: Json) -> None:
        """Add a metric once, under a name that no other metric has."""
        name = str(metric["name"])
        key = (template.name, name)
        if key in self.seen:
            if metric not in [{**other, "name": name} for other in self.metrics]:
                self.translation.note(one, "name", f"{name} is used with other arguments too; both are judged.")
            else:
                return
        taken = {str(other["name"]) for other in self.metrics}
        unique, number = name or "metric", 2
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        self.seen[key] = unique
        self.metrics.append({**metric, "name": unique})

    def _made(self, one: Node, name: str, values: Mapping[str, str | None]) -> Json | None:
        """Return the metric; None, and the field listed, if it cannot be translated."""
        provider = one.mapping("provider")
        prometheus = provider.mapping("prometheus") if provider else None
        if provider is None or prometheus is None:
            kinds = ", ".join(provider.value) if provider else "none"
            one.list_missing("", f"{name} is measured by {kinds}, not by Prometheus.", _BY_HAND, blocking=True)
            return None
        query, unknown = self._query(prometheus, values)
        why = self._why_not(query, unknown)
        bounds = None if why else self._bounds(one)
        if bounds is not None:
            why = self._foreign(name, query, bounds)
        elif not why:
            why = "its conditions are none, or more than a lower and an upper bound of one number"
        if why or bounds is None:
            one.list_missing(
                "",
                f"{name} is not translated, because {why}.",
                "Write a metric of kind errors, latency or value with $version in its query. See docs/judging.md.",
                blocking=True,
            )
            return None
        self._note_bounds(one, name, bounds)
        self._server(prometheus, values)
        made = conditions.metric_of(name, query, bounds, self._own())
        if self.by_pods and made["kind"] != "value":
            made = {"name": name, "critical": True, "kind": "value", "query": query, **bounds.options()}
        if made["kind"] == "value":
            self.translation.note(
                prometheus, "query", f"{name} runs as it is. Put $version into it unless it measures the canary anyway."
            )
            return {**made, "query": conditions.escaped(query)}
        self.translation.note(
            prometheus,
            "query",
            f"{name} becomes a metric of kind {made['kind']}: the requests of the canary are counted, and tested.",
        )
        return made

    def _query(self, prometheus: Node, values: Mapping[str, str | None]) -> tuple[str, set[str]]:
        known = {name: value for name, value in values.items() if value is not None}
        query = prometheus.text("query").strip()
        return conditions.substituted(query, known, _ARGUMENT)

    def _why_not(self, query: str, unknown: set[str]) -> str:
        if not query:
            return "it has no query"
        if unknown:
            return f"only Argo knows the argument {', '.join(sorted(unknown))}"
        if is_template(query):
            return "its query has a template that is no argument"
        return ""

    def _own(self) -> list[str]:
        """Return the names under which the requests of the rollout's versions are counted."""
        return [name for name in (self.rollout.name, *self.hosts, *self.foreign_services) if name]

    def _foreign(self, name: str, query: str, bounds: conditions.Bounds) -> str:
        """Return why a query that runs as it is would not measure the canary; empty if nothing is known of that."""
        if conditions.metric_of(name, query, bounds, self._own())["kind"] == "value":
            for service in self.foreign_services:
                if service and service in query:
                    return f"its query selects the Service {service}, whose requests are not the canary's alone here"
        return ""

    def _bounds(self, one: Node) -> conditions.Bounds | None:
        success, failure = one.text("successCondition"), one.text("failureCondition")
        found = conditions.passing(success) if success else conditions.failing(failure)
        if success and failure:
            self.translation.note(
                one, "failureCondition", "Numbers that neither condition describes fail here; in Argo they pause."
            )
        return found

    def _note_bounds(self, one: Node, name: str, bounds: conditions.Bounds) -> None:
        where = "successCondition" if one.has("successCondition") else "failureCondition"
        if bounds.strict:
            self.translation.note(one, where, f"{name}: the bound itself passes here.")
        if bounds.missing_passes:
            self.translation.note(
                one, where, f"{name}: a query without a number never passes here. Without evidence the step is held."
            )

    def _server(self, prometheus: Node, values: Mapping[str, str | None]) -> None:
        known = {name: value for name, value in values.items() if value is not None}
        address, _unknown = conditions.substituted(prometheus.text("address"), known, _ARGUMENT)
        if conditions.is_plain_url(address):
            if address not in self.urls:
                self.urls.append(address)
                self.translation.note(
                    prometheus, "address", "The playbook must reach this address from where it runs, not from a pod."
                )
        else:
            self.translation.need("rollout_prometheus_url", "The address of Prometheus is empty or no URL.")
        instead = (
            "Set rollout_prometheus_username, rollout_prometheus_password or rollout_prometheus_token from a vault."
        )
        prometheus.list_missing("authentication", "Credentials are not copied.", instead)
        prometheus.list_missing(
            "headers", "Headers can hold credentials and are not copied.", "Set rollout_prometheus_headers."
        )
        prometheus.list_missing(
            "insecure", "Certificates are always verified.", "Set rollout_prometheus_ca_cert to the authority's file."
        )
        prometheus.list_missing("timeout", "The time of a query is fixed.", "Make the query cheaper if it is too slow.")
        prometheus.list_missing(
            "rangeQuery",
            "A query of a range has no counterpart; the query runs at one moment.",
            "Use avg_over_time() or the like in the query.",
            blocking=True,
        )


def _seconds(one: Node, name: str, values: Mapping[str, str | None]) -> float | None:
    """Return a duration, which can be an argument, of a day at most; None, and listed, if nobody knows its value."""
    text = one.value.get(name)
    if isinstance(text, str) and is_template(text):
        known = {key: value for key, value in values.items() if value is not None}
        seconds = duration(conditions.substituted(text, known, _ARGUMENT)[0])
        if seconds is None:
            one.list_missing(name, "Its value is an argument that only Argo knows.", "Set the pause of the steps.")
            return None
        one.note(name)
    else:
        seconds = one.seconds(name)
    if seconds is not None and seconds > DAY:
        one.list_missing(name, "It is a day at most.", "It is cut. Use a manual gate for longer waits.")
        seconds = DAY
    return seconds


def _count(one: Node, name: str) -> int:
    return one.whole(name, 0, 1_000_000) or 0 if _is_number(one, name) else 0


def _is_number(one: Node, name: str) -> bool:
    """Return whether a field of the type IntOrString has a number; list it otherwise."""
    try:
        float(one.value.get(name) or 0)
    except (TypeError, ValueError):
        one.list_missing(name, "Its value is a template.", "Set the number by hand.")
        return False
    return True


def _limits(translation: Translation, one: Node) -> tuple[Json, int]:
    """Return the options for failed measurements, and how many may go unanswered."""
    options: Json = {}
    limit = one.whole("failureLimit", -1, 1_000_000) if _is_number(one, "failureLimit") else None
    if limit == -1:
        one.list_missing(
            "failureLimit", "Failures always count here.", "The metric fails after `consecutive` failures."
        )
    else:
        options["consecutive"] = min((limit or 0) + 1, 1000)
        if limit:
            translation.note(one, "failureLimit", "Failed measurements count in a row here, in Argo all of them do.")
    errors = one.whole("consecutiveErrorLimit", 0, 100_000) if _is_number(one, "consecutiveErrorLimit") else None
    one.list_missing(
        "inconclusiveLimit",
        "A verdict that cannot be reached holds the step and rolls it back at its deadline.",
        "Set rollout_deadline.",
    )
    one.list_missing(
        "consecutiveSuccessLimit",
        "A step passes when the evidence suffices after its pause, not after a number of successes.",
        "Set the pause of the step.",
    )
    return options, MOST_ERRORS if errors is None else errors


def _matches(pattern: str, name: str) -> bool:
    """Return whether the name of a dry run, which Argo reads as a regular expression, is that of the metric."""
    return pattern == name or pattern in (".*", ".+", "^.*$")
