# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The managed state in an annotation of the routing object: what commands set, and the original routes. Pure.

It is written in the same PATCH as the routes, so the two can never disagree. Istio does not push configuration for
annotations outside its own prefix.

    {"services": {FQDN: {"weights": {ROUTE: {VERSION: "10"}}, "cohorts": {...}, "mirror": {...}, "sticky": {...}}},
     "routes": {ROUTE: {"before": {FIELD: ...}, "set": {FIELD: ...}}}}

ROUTE is a key of `istio.route_keys`, FIELD a field of a route that we write.

The annotations of an object have 256 KiB together, and `kubectl apply` keeps a copy of the whole object there. So a
large state is compressed: `{"compressed": BASE64, "hosts": [FQDN]}`. Routes of one service are much alike, so that of
2,000 routes takes a tenth of the room.
"""

from __future__ import annotations

import base64
import binascii
import typing as t
import zlib

from ..errors import Refused
from ..findings import Finding
from . import json_text
from .metadata import full_name
from .patch import canonical_json

if t.TYPE_CHECKING:
    from .metadata import Object

ANNOTATION: t.Final = "canary.meshops.io/state"
State = dict[str, t.Any]
EMPTY: t.Final[State] = {"services": {}, "routes": {}}
READABLE: t.Final = 4096
"""Up to so many characters the state is plain JSON, which people can read."""
LARGEST: t.Final = 64 * 1024 * 1024
"""So many bytes a compressed state may have: the limit of etcd allows no object of that size."""


def read(obj: Object) -> State:
    """Return the object's state, `{"services": {}, "routes": {}}` if there is none.

    Raises Refused if the annotation cannot be read: a guess could remove routes of others.
    """
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return {"services": {}, "routes": {}}
    try:
        state = _decompressed(json_text.parse_mapping(text))
        services, routes = state["services"], state["routes"]
        if not isinstance(services, dict) or not isinstance(routes, dict):
            raise TypeError
    except (ValueError, TypeError, KeyError, binascii.Error, zlib.error):
        finding = Finding(
            "STATE_UNREADABLE", full_name(obj), f"The annotation {ANNOTATION} was not written by this collection."
        )
        raise Refused(f"{full_name(obj)}: the annotation {ANNOTATION} cannot be read.", [finding]) from None
    return {"services": services, "routes": routes}


def has_state_for(obj: Object, host: str) -> bool:
    """Return whether an earlier command wrote to the object for the host.

    The state of other services is not parsed: an unreadable annotation must not block changes of other services.
    """
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION) or ""
    return host in text and host in read(obj)["services"]


def write(obj: Object, state: State) -> None:
    """Write the state into the annotation; remove the annotation (and empty annotations) if the state is empty."""
    services = {host: service_state for host, service_state in state["services"].items() if service_state}
    metadata = obj["metadata"]
    if services or state["routes"]:
        annotations = metadata.get("annotations")
        if annotations is None:
            annotations = metadata["annotations"] = {}
        annotations[ANNOTATION] = _text({"services": services, "routes": state["routes"]})
    elif ANNOTATION in (metadata.get("annotations") or {}):
        del metadata["annotations"][ANNOTATION]
        if not metadata["annotations"]:
            del metadata["annotations"]


def _text(state: State) -> str:
    text = canonical_json(state)
    if len(text) <= READABLE:
        return text
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return canonical_json({"compressed": packed, "hosts": sorted(state["services"])})


def _decompressed(state: State) -> State:
    if "compressed" not in state:
        return state
    packed = zlib.decompressobj()
    text = packed.decompress(base64.b64decode(state["compressed"], validate=True), LARGEST)
    if not packed.eof:
        raise ValueError("too large, or cut off")
    return json_text.parse_mapping(text.decode())
