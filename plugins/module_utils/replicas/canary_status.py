# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a canary by pods is noted to be, and where it stands. Pure.

The note is an annotation of the canary's Deployment. Of one that was made here, and of one that others made:

    {"created": true, "pods": 1, "share": 20}
    {"created": false, "image": "shop:1.14.2", "replicas": 2, "pods": 1, "share": 20}

`pods` is what was last written and `share` the percent that was requested, which so many pods only come near to. A
canary with another number of pods was scaled by somebody else.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..objects import json_text
from ..objects.managed_state import ANNOTATION
from ..objects.metadata import full_name
from ..objects.patch import canonical_json
from ..objects.workloads import desired
from .deployment_pair import find_pair, image_of

if t.TYPE_CHECKING:
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .deployment_pair import Wanted

Record = dict[str, t.Any]


class Standing(t.NamedTuple):
    """weights: stable's and the canary's name -> percent of new connections. image: stable's."""

    weights: dict[str, float]
    image: str


def record_of(canary: Object) -> Record | None:
    """Return what was noted when the canary was made or adopted, None if it is not ours. Raises Refused."""
    text = (canary["metadata"].get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return None
    try:
        record = json_text.parse_mapping(text)
        if record["created"] is True or {"image", "replicas"} <= set(record):
            return dict(record)
    except (ValueError, KeyError, TypeError):
        pass
    raise Refused(
        f"{full_name(canary)} has an invalid annotation {ANNOTATION}, so its original state is "
        "not known. Remove the annotation to keep the Deployment as it is."
    )


def noted(record: Record, wanted: Wanted, pods: int) -> str:
    """Return the annotation's text after `pods` were written for what is wanted."""
    kept = {key: value for key, value in record.items() if key not in ("pods", "share")}
    share = {} if wanted.share is None or wanted.replicas is not None else {"share": wanted.share}
    return canonical_json({**kept, "pods": pods, **share})


def standing(snapshot: Snapshot, service: ServiceRef, wanted: Wanted) -> Standing:
    """Return who gets how much, in the words of whoever requested a share.

    While the canary has the pods that were written for a share, that share is told, however near they come to it and
    whatever became of stable's pods since: those are an autoscaler's, or their owner's. Else it is what the pods give.
    A stable that runs `wanted.image` itself counts as the canary's, for every pod then runs it. Raises as `find_pair`.
    """
    pair = find_pair(snapshot, service, wanted)
    stable, image = pair.stable["metadata"]["name"], image_of(pair.stable, wanted.container)
    if wanted.image and image == wanted.image:
        return Standing({stable: 0.0, pair.canary_name: 100.0}, image)
    share = 0.0
    if pair.canary is not None:
        record = record_of(pair.canary) or {}
        pods = desired(pair.canary)
        if "share" in record and record.get("pods") == pods:
            share = float(record["share"])
        else:
            share = pair.shares(pods).get(pair.canary_name, 0.0)
    return Standing({stable: round(100.0 - share, 3), pair.canary_name: share}, image)
