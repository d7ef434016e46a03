# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a task's options to the plan of a rollout. Impossible plans are refused before anything is read."""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..evidence import analysis_options
from ..rollout import steps as plans
from ..rollout.steps import Rollout

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..objects.hosts import ServiceRef

DEFAULT_STEPS: t.Final = (1, 10, 25, 50, 100)
_STEP_OPTIONS: t.Final = (
    "steps",
    "shape",
    "start",
    "by",
    "pause",
    "deadline",
    "gate",
    "gate_seconds",
    "gate_default",
    "analysis",
    "cohort",
)


def plan_from_options(service: ServiceRef, params: Mapping[str, t.Any]) -> Rollout:
    """Return the plan. params: of canary_rollout. Raises InvalidInput with the option."""
    given = {name: params[name] for name in _STEP_OPTIONS if params[name] is not None}
    if not given.get("steps") and "shape" not in given:
        given["steps"] = list(DEFAULT_STEPS)
    stable, canary, keep = params["stable"], params["canary"], _percents(params["keep"])
    if stable == canary:
        raise InvalidInput(f"stable and canary are both {canary}, but must differ.")
    if {stable, canary} & set(keep):
        raise InvalidInput(f"keep: {stable} and {canary} share the rest of the requests; list only other versions.")
    if sum(keep.values()) >= 100:
        raise InvalidInput(f"keep: {sum(keep.values()):g}% leaves nothing for {stable} and {canary}.")
    if "shape" not in given and (idle := [name for name in ("start", "by") if name in given]):
        raise InvalidInput(
            f"{' and '.join(idle)} have no effect together with steps; they belong to shape. Leave them out, or set "
            "shape (linear or exponential) instead of steps."
        )
    steps = plans.steps_from(given)
    image, container = params["image"], params["container"]
    if params["route_api"] == "replicas":
        if not image:
            raise InvalidInput("image: set the image of the canary; route_api=replicas needs it.")
        if keep:
            raise InvalidInput(
                "keep: with route_api=replicas the pods of other Deployments set their share; leave keep out."
            )
        steps = plans.by_pods(steps)
    elif image or container:
        raise InvalidInput(
            "image and container need route_api=replicas; leave them out, because the versions already run."
        )
    base = params["baseline"]
    rollout = Rollout(
        service.name, service.namespace, stable, canary, steps, params["adapt"], keep, image, container, base
    )
    plans.check_keep(rollout)
    plans.check_baseline(rollout)
    analysis_options.check_plan(rollout, params)
    return rollout


def _percents(keep: Mapping[str, t.Any]) -> dict[str, float]:
    try:
        found = {str(version): float(percent) for version, percent in keep.items()}
    except (TypeError, ValueError):
        raise InvalidInput(f"keep: {dict(keep)} must map versions to percents, as {{v3: 5}}.") from None
    if any(percent < 0 for percent in found.values()):
        raise InvalidInput(f"keep: {found} has a negative percent.")
    return found
