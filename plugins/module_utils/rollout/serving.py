# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the stable version of a plan is one that serves, and what may have been meant if it does not. Pure."""

from __future__ import annotations

import shlex
import typing as t

from ..findings import Finding
from ..objects.weights import TOLERANCE, weights_text
from .plan_options import playbook_command

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .steps import Rollout

CODE: t.Final = "STABLE_NOT_SERVING"


def stable_not_serving(rollout: Rollout, weights: Mapping[str, float]) -> Finding | None:
    """Return the finding if stable has no requests. weights: version -> percent of the routes now."""
    if weights.get(rollout.stable, 0.0) > TOLERANCE:
        return None
    after = rollout.weights(rollout.steps[0].weight)
    reason = (
        f"{rollout.stable} has 0% of the requests, and {_serving_text(weights)}. The first step would give "
        f"{weights_text(after)}, and a rollback would end on {rollout.stable}, which serves nobody now."
    )
    return Finding(CODE, f"Version {rollout.stable} of {rollout.service}", reason, _remedy(rollout, weights))


def _serving_text(weights: Mapping[str, float]) -> str:
    return " and ".join(f"{name} has {share:g}%" for name, share in weights.items() if share > TOLERANCE)


def _remedy(rollout: Rollout, weights: Mapping[str, float]) -> str:
    """Return the command for each thing that may have been meant."""
    stable, canary = rollout.stable, rollout.canary
    serving = max(weights, key=lambda name: weights[name])
    ways = []
    if weights.get(canary, 0.0) >= 100.0 - TOLERANCE - sum(rollout.keep.values()):
        ways = [
            f"If {canary} was promoted before, it is done: nothing is left to do.",
            f"To go back to {stable} at once: {_command(rollout, 'rollback', stable=stable)}.",
            f"To roll {stable} out step by step: {_command(rollout, 'rollout', stable=canary, canary=stable)}.",
        ]
    elif serving != canary:
        ways = [f"To roll {canary} out: {_command(rollout, 'rollout', stable=serving, canary=canary)}."]
    else:
        ways = [
            f"To give {canary} all requests: {_command(rollout, 'promote', version=canary)}.",
            f"To go back to {stable} at once: {_command(rollout, 'rollback', stable=stable)}.",
        ]
    forced = shlex.quote(f'{{"rollout_force": ["{CODE}"]}}')
    return " ".join((*ways, f"To begin it nevertheless: -e {forced} (force: [{CODE}])."))


def _command(rollout: Rollout, playbook: str, **variables: str) -> str:
    return playbook_command(playbook, service=rollout.service, ns=rollout.namespace, **variables)
