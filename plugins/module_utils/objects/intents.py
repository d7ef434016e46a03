# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes a command can ask for, one value per verb. `routing.plan.plan` turns an intent into a Plan. Pure.

The fields hold the options as the user wrote them; the planners validate them.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .hosts import ServiceRef

    Labels = Mapping[str, str]


@dataclass(frozen=True)
class Intent:
    """What a command wants of a service's routes.

    needs_route: without any route to edit the command fails; a removal then has nothing to do.
    only_api: the routing API, where only one can do it.
    """

    needs_route: t.ClassVar[bool] = False
    only_api: t.ClassVar[str] = ""

    @property
    def named_versions(self) -> tuple[str, ...]:
        """Return the versions the intent names; an HTTPRoute's backends of these names belong to the service."""
        return ()


@dataclass(frozen=True)
class SetWeights(Intent):
    """Set the weights of a service's versions.

    weights: version -> percent of the service's requests, a closed set: 0..100, sum 100, at most three decimals.
    Versions that are not named get 0. By default every route of the service is set (http, tls, tcp; VirtualServices of
    the mesh and of gateways, delegates), except those made for certain callers (matches on headers, query, labels).
    Destinations of other hosts keep their share of the route. Destinations that existed before stay in the list at
    weight 0; those an earlier command added are removed.
    finalize: make this the normal state: versions at 0 leave the route, and nothing earlier can be restored any more.
    end_cohorts: cohorts whose routes are removed by this very change; unknown names are ignored.
    Raises UnknownSubset if a version has no subset, ForeignDestination if other hosts' shares cannot be kept.
    """

    needs_route: t.ClassVar[bool] = True
    weights: Mapping[str, t.Any]
    finalize: bool = False
    end_cohorts: Sequence[str] = ()

    @property
    def named_versions(self) -> tuple[str, ...]:
        """Return the weights' versions."""
        return tuple(map(str, self.weights))


@dataclass(frozen=True)
class RestoreWeights(Intent):
    """Restore the weights from before the first `SetWeights`; edits that others made since then stay."""


@dataclass(frozen=True)
class SetCohort(Intent):
    """Split the requests that `match` selects by `weights`, independent of all other requests.

    name: of the cohort; setting it again replaces it. match: see `matches.istio_blocks`.
    weights: version -> percent within the cohort, a closed set like that of `SetWeights`.
    order: cohorts with a lower one come first, equal ones by name.
    Before every http route of the service that the cohort's requests could reach, a copy of it is inserted with the
    cohort's match added and everything else (path, timeout, retries, rewrite, faults, headers, mirrors) inherited. The
    cohort's requests go to the service alone, also where the route shares its traffic with other hosts.
    """

    needs_route: t.ClassVar[bool] = True
    name: str
    match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]]
    weights: Mapping[str, t.Any]
    order: int = 100

    @property
    def named_versions(self) -> tuple[str, ...]:
        """Return the weights' versions."""
        return tuple(map(str, self.weights))


@dataclass(frozen=True)
class RemoveCohort(Intent):
    """Remove a cohort's routes; everything else stays."""

    name: str


@dataclass(frozen=True)
class SetMirror(Intent):
    """Copy `percent` of the requests to `version` and discard the answers. Mirrors of others stay."""

    needs_route: t.ClassVar[bool] = True
    version: str
    percent: t.Any

    @property
    def named_versions(self) -> tuple[str, ...]:
        """Return the mirror's version."""
        return (self.version,)


@dataclass(frozen=True)
class RemoveMirror(Intent):
    """Remove the mirror that `SetMirror` added."""


@dataclass(frozen=True)
class SetSticky(Intent):
    """Keep every user on the version of his first request (see `sticky_routes`), with any weights, set before or after.

    cookie: its name, `canary-SERVICE` if empty. max_age: seconds. path: where the browser sends it.
    Callers must keep cookies: browsers do; a service that calls another must pass them on.
    """

    needs_route: t.ClassVar[bool] = True
    cookie: str = ""
    max_age: int = 86_400
    path: str = "/"

    def cookie_for(self, service: ServiceRef) -> str:
        """Return the cookie's name."""
        return self.cookie or f"canary-{service.name}"


@dataclass(frozen=True)
class RemoveSticky(Intent):
    """Stop keeping users on a version: every request is split by the weights."""


@dataclass(frozen=True)
class InstallRouting(Intent):
    """Create the subsets and the first VirtualServices, with all requests pinned to `stable`.

    versions: subset -> pod labels. Missing subsets are added to the DestinationRule of the service, or one is created
    (with the traffic policy of the wildcard rule it replaces); others' subsets are never touched.
    stable: the version that gets every request in VirtualServices that do not exist yet; an existing one
    is left exactly as it is, weights included. port: of the service, where it has several and only one is meant.
    ingress: list of {gateway, hosts, paths}: routes from a gateway; a path is {exact|prefix|regex: TEXT}, or TEXT for
    a prefix.
    Raises Refused SUBSET_LABELS_DIFFER, HOST_CLAIMED_TWICE.
    """

    only_api: t.ClassVar[str] = "istio"
    versions: Mapping[str, Labels]
    stable: str
    ingress: Sequence[Mapping[str, t.Any]] = ()
    port: int | None = None
    api_version: str = "networking.istio.io/v1"


@dataclass(frozen=True)
class UninstallRouting(Intent):
    """Remove what `InstallRouting` created, routes first.

    versions: only these subsets; empty for everything. Objects and subsets of others stay, and so does every created
    object that others have added to.
    Raises Refused (SUBSET_IN_USE) if a route that stays names a subset that would go.
    """

    only_api: t.ClassVar[str] = "istio"
    versions: Sequence[str] = ()
