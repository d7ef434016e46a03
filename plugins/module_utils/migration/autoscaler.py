# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HorizontalPodAutoscaler of a workload as variables of the role autoscale. Pure."""

from __future__ import annotations

import typing as t

from .manifest import Manifest, Node

if t.TYPE_CHECKING:
    from .translation import Json, Translation

_ONE_EACH: t.Final = (
    "Each version has an autoscaler of its own. Create it with the role autoscale or your own manifest."
)


def translate(translation: Translation, given: t.Any, kinds: tuple[str, ...], target: str) -> Json:
    """Return variables of the role autoscale. kinds, target: the workload that it has to scale.

    Raises InvalidInput if it is no HorizontalPodAutoscaler, or scales something else.
    """
    manifest = Manifest(given, "HorizontalPodAutoscaler")
    translation.manifests.append(manifest)
    spec = manifest.root.mapping("spec")
    reference = spec.mapping("scaleTargetRef") if spec else None
    if spec is None or reference is None:
        raise manifest.error(("spec", "scaleTargetRef"), "is missing.")
    reference.leave_out("apiVersion")
    kind, name = reference.text("kind"), reference.text("name")
    if kind not in kinds or name != target:
        raise manifest.error(("spec", "scaleTargetRef"), f"is {kind} {name}, not {' or '.join(kinds)} {target}.")
    least, most = spec.whole("minReplicas", 0, 100_000), spec.whole("maxReplicas", 1, 100_000)
    found: Json = {"autoscale_min": 1 if least is None else max(least, 1), "autoscale_max": most or 10}
    percent = spec.whole("targetCPUUtilizationPercentage", 1, 100_000)
    for one in spec.items("metrics"):
        percent = _cpu(one) or percent
    if percent is not None:
        found["autoscale_cpu_percent"] = percent
    spec.list_missing(
        "behavior", "It is not copied.", "Set autoscale_behavior and the two windows of the role autoscale."
    )
    translation.note(reference, "name", _ONE_EACH)
    return found


def _cpu(one: Node) -> int | None:
    """Return the target of the CPU utilization in percent; None, and the metric listed, for any other metric."""
    kind = one.value.get("type")
    part = one.value.get({"Resource": "resource", "ContainerResource": "containerResource"}.get(str(kind), ""))
    target = part.get("target") if isinstance(part, dict) else None
    old = part.get("targetAverageUtilization") if isinstance(part, dict) else None
    percent = target.get("averageUtilization") if isinstance(target, dict) else old
    if isinstance(part, dict) and part.get("name") == "cpu" and isinstance(percent, int) and 0 < percent <= 100_000:
        one.note()
        return percent
    one.list_missing("", "The role autoscale scales by CPU alone.", "Apply an autoscaler of your own for each version.")
    return None
