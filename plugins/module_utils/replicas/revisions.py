# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The revision before the one that does not become ready: for a run that was killed after it had written. Pure."""

from __future__ import annotations

import copy
import typing as t

from ..objects.pods import HASH, annotations_of, labels_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..objects.metadata import Object

REVISION: t.Final = "deployment.kubernetes.io/revision"


def never_ended(deployment: Object) -> bool:
    """Return whether the newest template's pods have never all been ready, as far as Kubernetes says.

    The condition Progressing keeps the reason NewReplicaSetAvailable whatever becomes of the pods later, until there
    is another template (source: pkg/controller/deployment/progress.go). Without progressDeadlineSeconds there is none.
    """
    for one in (deployment.get("status") or {}).get("conditions") or ():
        if one["type"] == "Progressing":
            return bool(one.get("reason") != "NewReplicaSetAvailable")
    return False


def template_before(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """Return the template of the revision before, which `kubectl rollout undo` takes; None if none is kept."""
    earlier = [
        one
        for one in replica_sets
        if any(ref.get("uid") == deployment["metadata"]["uid"] for ref in one["metadata"].get("ownerReferences") or ())
        and 0 < _revision(one) < _revision(deployment)
    ]
    if not earlier:
        return None
    template: Object = copy.deepcopy(max(earlier, key=_revision)["spec"]["template"])
    labels_of(template).pop(HASH, None)
    return template


def _revision(obj: Object) -> int:
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0
