# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subsets of a service: DestinationRules are created, extended and restored. Pure."""

from __future__ import annotations

import copy
import json
import typing as t

from ..errors import Refused
from ..findings import Finding
from ..objects import managed_state
from ..objects.change import Change, creation, deletion, edit
from ..objects.hosts import expand
from ..objects.metadata import full_name, identity
from ..objects.patch import canonical_json
from .created_objects import create_object, free_name, is_ours, is_unchanged, without_marker
from .find import destination_rules
from .mirrors import mirrors_of
from .route_keys import PROTOCOLS

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def add_subsets(
    snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, Mapping[str, str]], api_version: str
) -> Change | None:
    """Return the change that defines the missing subsets, None if there is none."""
    rules = destination_rules(snapshot, service)
    own = [
        rule
        for rule in rules
        if service.is_host(str(rule["spec"].get("host")), identity(rule)[0]) and identity(rule)[0] == service.namespace
    ]
    missing = _missing_subsets(own, versions)
    if not own:
        name = free_name(snapshot, "DestinationRule", service)
        return creation(_first_rule(service, name, missing, rules, api_version))
    if not missing:
        return None
    before = own[0]
    after = copy.deepcopy(before)
    after["spec"]["subsets"] = [*(after["spec"].get("subsets") or ()), *missing]
    _record_added_subsets(after, sorted({*added_subsets(before), *(subset["name"] for subset in missing)}))
    return edit(before, after, [f"{full_name(before)}: add subset {', '.join(subset['name'] for subset in missing)}"])


def _missing_subsets(rules: Sequence[Object], versions: Mapping[str, Mapping[str, str]]) -> list[dict[str, t.Any]]:
    there: dict[str, tuple[Object, dict[str, str]]] = {}
    for rule in rules:
        for subset in rule["spec"].get("subsets") or ():
            there.setdefault(subset["name"], (rule, dict(subset.get("labels") or {})))
    missing = []
    for version, labels in versions.items():
        if version not in there:
            missing.append({"name": version, "labels": dict(labels)})
            continue
        rule, known = there[version]
        if known != dict(labels):
            reason = f"Subset {version} selects {_labels_text(known)}, not {_labels_text(labels)}."
            raise Refused(f"{full_name(rule)}: {reason}", [Finding("SUBSET_LABELS_DIFFER", full_name(rule), reason)])
    return missing


def _labels_text(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "all pods"


def _first_rule(
    service: ServiceRef, name: str, subsets: list[dict[str, t.Any]], hidden: Sequence[Object], api_version: str
) -> Object:
    spec: Object = {"host": service.fqdn}
    policy = next((rule["spec"]["trafficPolicy"] for rule in hidden if rule["spec"].get("trafficPolicy")), None)
    if policy is not None:
        # The new rule hides the wildcard's for this host, so it must repeat the wildcard's policy.
        spec["trafficPolicy"] = copy.deepcopy(policy)
    spec["subsets"] = subsets
    rule = create_object(api_version, "DestinationRule", service, name, spec)
    _record_added_subsets(rule, [subset["name"] for subset in subsets])
    return rule


def added_subsets(rule: Object) -> list[str]:
    """Return the subsets that this collection added."""
    text = ((rule.get("metadata") or {}).get("annotations") or {}).get(managed_state.ANNOTATION)
    try:
        return [str(name) for name in json.loads(text)["subsets"]] if text else []
    except (ValueError, KeyError, TypeError):
        return []


def _record_added_subsets(rule: Object, names: Sequence[str]) -> None:
    metadata = rule["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(managed_state.ANNOTATION, None)
    if names:
        annotations[managed_state.ANNOTATION] = canonical_json({"subsets": list(names)})
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def remove_subsets(snapshot: Snapshot, service: ServiceRef, rule: Object, versions: Sequence[str]) -> Change | None:
    """Return the change that removes our subsets, and the rule with the last one if nobody else edited it."""
    there = [subset["name"] for subset in rule["spec"].get("subsets") or ()]
    ours = [name for name in added_subsets(rule) if name in there]
    removed = [name for name in ours if not versions or name in versions]
    if not removed:
        return None
    for name in removed:
        referrers = [
            full_name(one) for one in snapshot.need("virtual_services") if name in _named_subsets(one, service)
        ]
        if referrers:
            reason = f"Subset {name} is still a destination in {', '.join(referrers)}."
            raise Refused(f"{full_name(rule)}: {reason}", [Finding("SUBSET_IN_USE", full_name(rule), reason)])
    if len(removed) == len(there) and is_unchanged(rule, service):
        return deletion(rule)
    after = copy.deepcopy(rule)
    after["spec"]["subsets"] = [subset for subset in after["spec"]["subsets"] if subset["name"] not in removed]
    if not after["spec"]["subsets"]:
        del after["spec"]["subsets"]
    kept = [name for name in ours if name not in removed]
    _record_added_subsets(after, kept)
    return edit(
        rule,
        after if kept or not is_ours(rule) else without_marker(after),
        [f"{full_name(rule)}: remove subset {', '.join(removed)}"],
    )


def _named_subsets(virtual_service: Object, service: ServiceRef) -> set[str]:
    namespace, _name = identity(virtual_service)
    return {
        str(destination.get("subset"))
        for destination in _destinations(virtual_service["spec"])
        if expand(str(destination.get("host")), namespace, service.domain) == service.fqdn
    }


def _destinations(spec: Object) -> Iterator[dict[str, t.Any]]:
    for protocol in PROTOCOLS:
        for route in spec.get(protocol) or ():
            yield from (entry.get("destination") or {} for entry in route.get("route") or ())
            yield from (destination for destination, _percent in mirrors_of(route))


def rules_text(snapshot: Snapshot, service: ServiceRef) -> str:
    """Return the subsets as lines a manager can read, for the diff."""
    lines = []
    for rule in destination_rules(snapshot, service):
        lines.append(full_name(rule))
        lines += [
            f"  subset {one['name']}: pods with {_labels_text(one.get('labels') or {})}"
            for one in rule["spec"].get("subsets") or ()
        ]
    return "".join(f"{line}\n" for line in lines)
