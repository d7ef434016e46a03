# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: whether an HTTPRoute's backends are permitted, and what its parents say of it. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..gateway_api.grants import not_permitted
from ..gateway_api.parents import is_attached_to
from ..objects import route_status
from ..objects.metadata import full_name, identity
from ..routing.nearby import related_backends

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def inspect(before: Snapshot, after: Snapshot, service: ServiceRef, versions: Mapping[str, float]) -> Iterator[Finding]:
    """Yield what gateways would refuse after a change, and what parents refuse already.

    versions: version -> percent to be judged; with a change those that get more.
    """
    yield from _not_permitted(after, service, set(versions), whole=before is after)
    for one in before.http_routes or ():
        if is_attached_to(one, service) or related_backends(before, one, service):
            for problem in route_status.problems(one):
                yield Finding("HTTP_ROUTE_NOT_RESOLVED", full_name(one), f"{problem}.")


def _not_permitted(snapshot: Snapshot, service: ServiceRef, versions: set[str], *, whole: bool) -> Iterator[Finding]:
    if snapshot.reference_grants is None:
        return
    for one in snapshot.http_routes or ():
        judged = versions | (related_backends(snapshot, one, service) if whole else set())
        refused = [name for name in not_permitted(one, service.namespace, snapshot.reference_grants) if name in judged]
        if refused:
            reason = (
                f"It sends to {', '.join(refused)} in {service.namespace}, and no ReferenceGrant there permits that: "
                "the gateway answers these requests with 500."
            )
            yield Finding("BACKEND_NOT_PERMITTED", full_name(one), reason, _remedy(one, service, refused))


def _remedy(http_route: Object, service: ServiceRef, refused: list[str]) -> str:
    origin = f"{{group: gateway.networking.k8s.io, kind: {http_route['kind']}, namespace: {identity(http_route)[0]}}}"
    targets = ", ".join(f"{{group: '', kind: Service, name: {name}}}" for name in refused)
    return f"Create a ReferenceGrant in {service.namespace} with from: [{origin}] and to: [{targets}]."
