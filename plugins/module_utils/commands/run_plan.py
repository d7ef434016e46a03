# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a task's options to the plan of a rollout. What can never work is refused here, before anything is read."""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..rollout import plan as plans
from ..rollout.plan import Rollout
from . import judging

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..routes.hosts import ServiceRef

_OF_STEPS: t.Final = (
    "steps",
    "shape",
    "start",
    "stop",
    "by",
    "pause",
    "deadline",
    "gate",
    "gate_seconds",
    "gate_default",
    "analysis",
    "cohort",
)


def planned(service: ServiceRef, params: Mapping[str, t.Any]) -> Rollout:
    """Return the plan. params: of canary_rollout. Raises InvalidInput naming the option."""
    given = {name: params[name] for name in _OF_STEPS if params[name] is not None}
    stable, canary, keep = params["stable"], params["canary"], _percents(params["keep"])
    if stable == canary:
        raise InvalidInput(f"stable and canary are both {canary}; a rollout moves requests from one to the other.")
    if {stable, canary} & set(keep):
        raise InvalidInput(f"keep: {stable} and {canary} share what the others leave; keep names other versions only.")
    if sum(keep.values()) >= 100:
        raise InvalidInput(f"keep: {sum(keep.values()):g}% leave nothing for {stable} and {canary}.")
    if params["steps"] is not None and (idle := [name for name in ("start", "stop", "by") if name in given]):
        raise InvalidInput(
            f"{' and '.join(idle)} would have no effect beside steps, for they make the steps of a shape. Leave them "
            "out, or give shape (linear or exponential) instead of steps."
        )
    steps = plans.steps_from(given)
    image, container = params["image"], params["container"]
    if params["route_api"] == "replicas":
        if not image:
            raise InvalidInput(
                "image: say which image the canary runs; with route_api=replicas that is the new version."
            )
        if keep:
            raise InvalidInput("keep: by pods every Deployment behind the Service keeps the share its pods have.")
        steps = plans.by_pods(steps)
    elif image or container:
        raise InvalidInput("image and container are for route_api=replicas; by routes the versions run already.")
    base = params["baseline"]
    rollout = Rollout(
        service.name, service.namespace, stable, canary, steps, params["adapt"], keep, image, container, base
    )
    plans.check_keep(rollout)
    plans.check_baseline(rollout)
    judging.check_plan(rollout, params)
    return rollout


def _percents(keep: Mapping[str, t.Any]) -> dict[str, float]:
    try:
        found = {str(version): float(percent) for version, percent in keep.items()}
    except (TypeError, ValueError):
        raise InvalidInput(f"keep: {dict(keep)} must map versions to percents, as {{v3: 5}}.") from None
    if any(percent < 0 for percent in found.values()):
        raise InvalidInput(f"keep: {found} has a negative percent.")
    return found
