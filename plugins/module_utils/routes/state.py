# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The book kept on the routing object itself: what was asked for, and what to give back. Pure.

It stands in one annotation and is written in the same PATCH as the routes, so the two can never disagree.
Istio does not push configuration for annotations outside its own prefix.

    {"services": {FQDN: {"weights": {ROUTE: {VERSION: "10"}}, "cohorts": {...}, "mirror": {...}, "sticky": {...}}},
     "routes": {ROUTE: {"before": {FIELD: ...}, "set": {FIELD: ...}}}}

ROUTE is a key of `keys.route_keys`; FIELD one of the fields of a route we write.
"""

from __future__ import annotations

import json
import typing as t

from ..errors import Refused
from ..findings import Finding
from .patch import canonical
from .snapshot import label

if t.TYPE_CHECKING:
    from .snapshot import Object

ANNOTATION: t.Final = "canary.meshops.io/state"
State = dict[str, t.Any]
EMPTY: t.Final[State] = {"services": {}, "routes": {}}


def read(obj: Object) -> State:
    """Return the object's book, `{"services": {}, "routes": {}}` if there is none.

    Raises Refused if the annotation cannot be read: guessing could take somebody's routes away.
    """
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return {"services": {}, "routes": {}}
    try:
        book = json.loads(text)
        services, routes = book["services"], book["routes"]
        if not isinstance(services, dict) or not isinstance(routes, dict):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        finding = Finding(
            "STATE_UNREADABLE", label(obj), f"The annotation {ANNOTATION} is not what this collection wrote."
        )
        raise Refused(f"{label(obj)}: the annotation {ANNOTATION} cannot be read.", [finding]) from None
    return {"services": services, "routes": routes}


def remembers(obj: Object, host: str) -> bool:
    """Return whether an earlier command wrote to the object for the host.

    Others' books are not even read: one that cannot be read must not stand in the way of every change in the cluster.
    """
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION) or ""
    return host in text and host in read(obj)["services"]


def write(obj: Object, book: State) -> None:
    """Put the book on the object, or take the annotation (and empty annotations) off when nothing is left to say."""
    services = {host: wanted for host, wanted in book["services"].items() if wanted}
    metadata = obj["metadata"]
    if services or book["routes"]:
        annotations = metadata.get("annotations")
        if annotations is None:
            annotations = metadata["annotations"] = {}
        annotations[ANNOTATION] = canonical({"services": services, "routes": book["routes"]})
    elif ANNOTATION in (metadata.get("annotations") or {}):
        del metadata["annotations"][ANNOTATION]
        if not metadata["annotations"]:
            del metadata["annotations"]
