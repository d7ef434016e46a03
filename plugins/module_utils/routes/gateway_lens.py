# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTPRoute read as the VirtualService it means, and written back. Pure.

Both have rules with matches, destinations and weights, so one planner serves both. What is translated: a backendRef
that is a version of a service becomes a destination with the version as its subset, matches become match blocks,
RequestMirror filters become mirrors, the book's records likewise. Everything else travels along unread.

Not every release of the API keeps names of rules, so inserted ones are known by marks that stand in the book.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass

from ..errors import ForeignDestination
from . import state
from .gateway_marks import marks, with_cohorts
from .gateway_matches import to_blocks, to_matches
from .gateway_mirror import filters_with, mirrors_in, to_filter, to_mirror
from .gateway_parents import gateways, parents, short
from .keys import COHORT_PREFIX, cohort_of, is_managed
from .patch import canonical
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .hosts import ServiceRef
    from .keys import Route
    from .snapshot import Object
    from .state import State

Ref = dict[str, t.Any]
Rule = dict[str, t.Any]

HEAVIEST: t.Final = 1_000_000
_PLACE: t.Final = ("group", "kind", "namespace", "port")


@dataclass(frozen=True)
class Lens:
    """How one HTTPRoute is read: which backends are versions of which service.

    owners: host -> names of its versions' Services; None where all Services of its namespace are (the route is
    attached to the service itself, so whatever it sends to stands for the service).
    """

    namespace: str
    owners: Mapping[str, frozenset[str] | None]

    @classmethod
    def on(cls, http_route: Object, service: ServiceRef, named: frozenset[str]) -> Lens:
        """Return the lens for a command about `service` that names these versions."""
        book = state.read(http_route)["services"]
        known = {fqdn: versions_in(wanted) | {fqdn.split(".")[0]} for fqdn, wanted in book.items()}
        known[service.fqdn] = known.get(service.fqdn, frozenset()) | named | {service.name}
        attached = parents(http_route)
        owners: dict[str, frozenset[str] | None] = {
            fqdn: names for fqdn, names in sorted(known.items()) if short(fqdn) not in attached
        }
        owners.update({fqdn: None for fqdn in sorted(known) if short(fqdn) in attached})
        return cls(identity(http_route)[0], owners)

    def destination(self, ref: Ref) -> dict[str, t.Any]:
        """Return a backendRef's destination: host and version, or another's name; `ref` keeps the rest."""
        namespace, name = ref.get("namespace") or self.namespace, str(ref.get("name"))
        place: Ref = {key: ref[key] for key in _PLACE if key in ref}
        if not ref.get("group") and ref.get("kind", "Service") == "Service":
            for fqdn, versions in self.owners.items():
                service, home = fqdn.split(".")[:2]
                if home == namespace and (versions is None or name in versions):
                    if name == service and "filters" in ref:
                        # Said of the whole service, so new versions take it over with the place.
                        place["filters"] = ref["filters"]
                    return {"host": fqdn, "subset": name, "ref": place}
        return {"host": f"{name}.{namespace}", "ref": {**place, "name": name}}

    def entry(self, ref: Ref) -> dict[str, t.Any]:
        """Return a backendRef as an entry of a route."""
        destination = self.destination(ref)
        taken = {"name", "weight", *destination["ref"]}
        weight = ref.get("weight")
        rest = {key: copy.deepcopy(value) for key, value in ref.items() if key not in taken}
        return {"destination": copy.deepcopy(destination), "weight": 1 if weight is None else int(weight), **rest}


def backend(entry: dict[str, t.Any]) -> Ref:
    """Return the backendRef of an entry. The inverse of `Lens.entry`, with the weight written out."""
    destination = entry["destination"]
    named = {"name": destination["subset"]} if "subset" in destination else {}
    rest = {key: copy.deepcopy(value) for key, value in entry.items() if key not in ("destination", "weight")}
    return {**copy.deepcopy(destination["ref"]), **named, **rest, "weight": entry.get("weight", 1)}


def versions_in(wanted: State) -> frozenset[str]:
    """Return the versions that a service's part of the book names."""
    found = set(wanted.get("versions") or ())
    for percents in (wanted.get("weights") or {}).values():
        found |= set(percents)
    for cohort in (wanted.get("cohorts") or {}).values():
        found |= set(cohort["weights"])
    return frozenset(found | {one["version"] for one in (wanted.get("mirror") or {}).values()})


def read(http_route: Object, lens: Lens, domain: str) -> Object:
    """Return the HTTPRoute as a VirtualService (of kind HTTPRoute, for messages)."""
    book = state.read(http_route)
    spec = http_route.get("spec") or {}
    attached = sorted(parents(http_route))
    hosts = [f"{one}.svc.{domain}" for one in attached] + list(spec.get("hostnames") or ())
    metadata = copy.deepcopy(http_route["metadata"])
    result = {
        **{key: value for key, value in http_route.items() if key != "status"},
        "metadata": metadata,
        "spec": {
            "hosts": hosts or ["*"],
            "gateways": [*(["mesh"] if attached else []), *gateways(http_route)] or ["mesh"],
            "http": [_read_rule(rule, lens, cohort) for rule, cohort in with_cohorts(spec.get("rules") or (), book)],
        },
    }
    if state.ANNOTATION in (metadata.get("annotations") or {}):
        routes = {
            key: {side: _read_side(one, lens) for side, one in record.items()} for key, record in book["routes"].items()
        }
        state.write(result, {"services": book["services"], "routes": routes})
    return result


def _read_rule(rule: Rule, lens: Lens, cohort: str | None) -> Route:
    rest = {key: copy.deepcopy(value) for key, value in rule.items() if key != "backendRefs"}
    route: Route = {"rule": rest, "match": to_blocks(rule.get("matches")), "mirrors": mirrors_in(rule, lens)}
    if rule.get("name"):
        route["name"] = rule["name"]
    if cohort is not None:
        route["name"] = f"{COHORT_PREFIX}{cohort}"
    if "backendRefs" in rule:
        route["route"] = [lens.entry(ref) for ref in rule["backendRefs"] or ()]
    if any(_replaces_prefix(one) for one in rule.get("filters") or ()):
        route["rewrite"] = {"uri": "/"}
    return route


def matches_of(route: Route) -> list[dict[str, t.Any]]:
    """Return the HTTPRoute matches of a route as it will be written; at least one."""
    matches = to_matches(route["match"]) if is_managed(route) else route["rule"].get("matches")
    return list(matches or [{}])


def _replaces_prefix(one: dict[str, t.Any]) -> bool:
    change = one.get("urlRewrite") or one.get("requestRedirect") or {}
    return (change.get("path") or {}).get("type") == "ReplacePrefixMatch"


def write(http_route: Object, seen: Object, lens: Lens) -> Object:
    """Return the HTTPRoute with what was changed in `seen`, its reading as a VirtualService.

    Raises ForeignDestination for weights above the API's limit.
    """
    rules = [_write_rule(route, label(http_route)) for route in seen["spec"]["http"]]
    stands = marks([(rule, cohort_of(route)) for rule, route in zip(rules, seen["spec"]["http"], strict=True)])
    after = {**copy.deepcopy(http_route), "metadata": copy.deepcopy(seen["metadata"])}
    if "rules" in after["spec"]:
        after["spec"]["rules"] = rules
    if state.ANNOTATION in (after["metadata"].get("annotations") or {}):
        book = state.read(after)
        services = {fqdn: _kept(wanted, lens.owners.get(fqdn), stands) for fqdn, wanted in book["services"].items()}
        routes = {
            key: {side: _write_side(one) for side, one in record.items()} for key, record in book["routes"].items()
        }
        state.write(after, {"services": services, "routes": routes})
    return after


def _kept(wanted: State, versions: frozenset[str] | None, stands: dict[str, list[str]]) -> State:
    """Return what is wanted with what it takes to read it again; nothing where nothing is wanted."""
    kept = {key: value for key, value in wanted.items() if key != "versions"}
    if "cohorts" in kept:
        kept["cohorts"] = {name: {**one, "rules": stands.pop(name, [])} for name, one in kept["cohorts"].items()}
    if kept and versions is not None:
        kept["versions"] = sorted(versions)
    return kept


def same_but_versions(before: Object, after: Object) -> bool:
    """Return whether at most the note of what names versions have differs, which alone is no reason to write."""
    return canonical(_without_versions(before)) == canonical(_without_versions(after))


def _without_versions(http_route: Object) -> Object:
    book = state.read(http_route)
    services = {
        fqdn: {key: value for key, value in wanted.items() if key != "versions"}
        for fqdn, wanted in book["services"].items()
    }
    bare = {**http_route, "metadata": copy.deepcopy(http_route["metadata"])}
    state.write(bare, {**book, "services": services})
    return bare


def _write_rule(route: Route, where: str) -> dict[str, t.Any]:
    rule: dict[str, t.Any] = copy.deepcopy(route["rule"])
    if is_managed(route):
        # Names are unique within a route, so a copy goes without.
        rule.pop("name", None)
        rule["matches"] = to_matches(route["match"])
    filters = filters_with(rule.get("filters") or [], route["mirrors"])
    if filters:
        rule["filters"] = filters
    elif rule.get("filters"):
        del rule["filters"]
    if "route" in route:
        rule["backendRefs"] = [backend(entry) for entry in route["route"]]
        heavy = max((ref["weight"] for ref in rule["backendRefs"]), default=0)
        if heavy > HEAVIEST:
            raise ForeignDestination(
                f"{where}: exact shares would need the weight {heavy}, and an HTTPRoute allows {HEAVIEST} at most. "
                "Round the weights of the other backends, or ask for fewer decimals."
            )
    return rule


def _read_side(fields: dict[str, t.Any], lens: Lens) -> dict[str, t.Any]:
    side: dict[str, t.Any] = {}
    if "backendRefs" in fields:
        side["route"] = [lens.entry(ref) for ref in fields["backendRefs"]]
    if "mirrors" in fields:
        side["mirrors"] = [to_mirror(one, lens) for one in fields["mirrors"]]
    return side


def _write_side(fields: dict[str, t.Any]) -> dict[str, t.Any]:
    side: dict[str, t.Any] = {}
    if "route" in fields:
        side["backendRefs"] = [backend(entry) for entry in fields["route"]]
    if "mirrors" in fields:
        side["mirrors"] = [to_filter(one) for one in fields["mirrors"]]
    return side


def live_refs(http_route: Object) -> list[Ref]:
    """Return the backendRefs that get requests or copies of them."""
    found = []
    for rule in (http_route.get("spec") or {}).get("rules") or ():
        found += [ref for ref in rule.get("backendRefs") or () if ref.get("weight", 1)]
        for one in rule.get("filters") or ():
            if one.get("type") == "RequestMirror":
                found.append((one.get("requestMirror") or {}).get("backendRef") or {})
    return found
