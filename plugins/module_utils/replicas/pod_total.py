# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A share of a total of pods: stable is scaled to its part, and gets its own number back when the canary ends. Pure.

How many pods stable had stands in an annotation of its own, so that a share of another total still gives that back.
"""

from __future__ import annotations

import copy
import typing as t

from ..errors import InvalidInput, Refused
from ..objects.metadata import full_name
from ..objects.workloads import desired
from . import pod_ratio

if t.TYPE_CHECKING:
    from ..objects.metadata import Object
    from .deployment_pair import Pair, Wanted

PODS_BEFORE: t.Final = "canary.meshops.io/pods-before"


def chosen(pair: Pair, wanted: Wanted) -> pod_ratio.Ratio:
    """Return the pods of all but the canary, and the canary's, for `wanted.share`.

    They are those of the total; without one stable keeps its pods, unless `max_error` is given and takes more: then
    the fewest that stay within it. Raises InvalidInput for a share or a total that cannot be.
    """
    share = wanted.share or 0.0
    if wanted.total is not None:
        return pod_ratio.for_total(share, wanted.total)
    if wanted.max_error is None:
        return pod_ratio.for_stable(share, pair.other_pods)
    least = pair.other_pods - desired(pair.stable) + _before(pair.stable)
    got = pod_ratio.for_stable(share, least)
    return got if abs(got.error(share)) <= wanted.max_error else pod_ratio.within(share, wanted.max_error, least)


def scaled(pair: Pair, wanted: Wanted, count: int, hpa: Object | None) -> Object:
    """Return stable with its part of the pods that are `chosen`; as it is if it has them, or no number was asked for.

    A total counts all Deployments behind the Service. What an earlier share has scaled up may come down again once
    the canary has its `count` of pods, so that there are never fewer together. Raises Refused where stable would have
    less than in the beginning or an autoscaler owns its pods, InvalidInput for a total that cannot be.
    """
    if wanted.share is None or (wanted.total is None and wanted.max_error is None):
        return pair.stable
    others, got = pair.other_pods - desired(pair.stable), chosen(pair, wanted)
    pods = got.stable - others
    if pods == desired(pair.stable):
        return pair.stable
    if hpa is not None:
        raise Refused(_owned(full_name(hpa), pair, wanted, got))
    least = _before(pair.stable)
    if pods < least:
        enough = pod_ratio.for_stable(wanted.share, others + least)
        raise Refused(
            f"total: {wanted.share:g}% of {wanted.total} pods would reduce {full_name(pair.stable)} to {max(pods, 0)} "
            f"of its {least} pods. Set total to at least {enough.stable + enough.canary}, or omit it."
        )
    if pods < desired(pair.stable) and (pair.canary is None or desired(pair.canary) != count):
        return pair.stable
    after = copy.deepcopy(pair.stable)
    annotations = after["metadata"].get("annotations") or {}
    after["metadata"]["annotations"] = {**annotations, PODS_BEFORE: str(least)}
    after["spec"]["replicas"] = pods
    return after


def _owned(hpa: str, pair: Pair, wanted: Wanted, got: pod_ratio.Ratio) -> str:
    """Return why stable's pods cannot be set, and what to do."""
    if wanted.total is not None:
        return (
            f"total: {hpa} owns the number of pods of {full_name(pair.stable)}, so total cannot be used. Without "
            "total, the number of canary pods follows the autoscaler."
        )
    return (
        f"max_error: {wanted.share:g}% within {wanted.max_error:g} points needs {got.stable} pods and {got.canary} "
        f"canary pods, but {hpa} owns the number of pods of {full_name(pair.stable)}. Raise its minReplicas, or "
        "allow a larger max_error."
    )


def given_back(stable: Object) -> Object:
    """Return stable with the number of pods it had before a total was wanted; as it is if none was."""
    if PODS_BEFORE not in (stable["metadata"].get("annotations") or {}):
        return stable
    after = copy.deepcopy(stable)
    after["spec"]["replicas"] = _before(stable)
    del after["metadata"]["annotations"][PODS_BEFORE]
    return after


def _before(stable: Object) -> int:
    """Return how many pods stable had before a total was wanted."""
    noted = (stable["metadata"].get("annotations") or {}).get(PODS_BEFORE, str(desired(stable)))
    if not noted.isdigit():
        raise InvalidInput(
            f"{full_name(stable)} has an annotation {PODS_BEFORE} that is not a number: {noted!r}. "
            "Scale the Deployment to the correct number of pods and remove the annotation."
        )
    return int(noted)
