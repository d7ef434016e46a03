# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subsets of a service: DestinationRules created, extended and taken back. Pure."""

from __future__ import annotations

import copy
import json
import typing as t

from ..errors import Refused
from ..findings import Finding
from . import state
from .change import Change, creation, deletion, edit
from .created import is_as_created, is_ours, new_object, unmarked
from .find import destination_rules
from .hosts import expand
from .keys import PROTOCOLS
from .mirror import mirrors_of
from .patch import canonical
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot


def with_subsets(
    snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, Mapping[str, str]], api_version: str
) -> Change | None:
    rules = destination_rules(snapshot, service)
    own = [
        rule
        for rule in rules
        if service.is_host(str(rule["spec"].get("host")), identity(rule)[0]) and identity(rule)[0] == service.namespace
    ]
    missing = _missing_subsets(own, versions)
    if not own:
        return creation(_first_rule(service, missing, rules, api_version))
    if not missing:
        return None
    before = next((rule for rule in own if not rule["spec"].get("workloadSelector")), own[0])
    after = copy.deepcopy(before)
    after["spec"]["subsets"] = [*(after["spec"].get("subsets") or ()), *missing]
    _note_subsets(after, sorted({*noted_subsets(before), *(subset["name"] for subset in missing)}))
    return edit(before, after, [f"{label(before)}: add subset {', '.join(subset['name'] for subset in missing)}"])


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
            reason = f"Subset {version} selects {_shown(known)}, not {_shown(labels)}."
            raise Refused(f"{label(rule)}: {reason}", [Finding("SUBSET_LABELS_DIFFER", label(rule), reason)])
    return missing


def _shown(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "all pods"


def _first_rule(
    service: ServiceRef, subsets: list[dict[str, t.Any]], hidden: Sequence[Object], api_version: str
) -> Object:
    spec: Object = {"host": service.fqdn}
    policy = next((rule["spec"]["trafficPolicy"] for rule in hidden if rule["spec"].get("trafficPolicy")), None)
    if policy is not None:
        # The new rule hides the wildcard's for this host, so what that said must be said here too.
        spec["trafficPolicy"] = copy.deepcopy(policy)
    spec["subsets"] = subsets
    rule = new_object(api_version, "DestinationRule", service, service.name, spec)
    _note_subsets(rule, [subset["name"] for subset in subsets])
    return rule


def noted_subsets(rule: Object) -> list[str]:
    """Return the subsets that are ours."""
    text_ = ((rule.get("metadata") or {}).get("annotations") or {}).get(state.ANNOTATION)
    try:
        return [str(name) for name in json.loads(text_)["subsets"]] if text_ else []
    except (ValueError, KeyError, TypeError):
        return []


def _note_subsets(rule: Object, names: Sequence[str]) -> None:
    metadata = rule["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(state.ANNOTATION, None)
    if names:
        annotations[state.ANNOTATION] = canonical({"subsets": list(names)})
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def without_subsets(snapshot: Snapshot, service: ServiceRef, rule: Object, versions: Sequence[str]) -> Change | None:
    """Return the change that takes our subsets away, and the rule with the last one if nothing in it is another's."""
    there = [subset["name"] for subset in rule["spec"].get("subsets") or ()]
    ours = [name for name in noted_subsets(rule) if name in there]
    going = [name for name in ours if not versions or name in versions]
    if not going:
        return None
    for name in going:
        users = [label(one) for one in snapshot.need("virtual_services") if name in _named_subsets(one, service)]
        if users:
            reason = f"Subset {name} is still a destination in {', '.join(users)}."
            raise Refused(f"{label(rule)}: {reason}", [Finding("SUBSET_IN_USE", label(rule), reason)])
    if len(going) == len(there) and is_as_created(rule, service):
        return deletion(rule)
    after = copy.deepcopy(rule)
    after["spec"]["subsets"] = [subset for subset in after["spec"]["subsets"] if subset["name"] not in going]
    if not after["spec"]["subsets"]:
        del after["spec"]["subsets"]
    left = [name for name in ours if name not in going]
    _note_subsets(after, left)
    return edit(
        rule,
        after if left or not is_ours(rule) else unmarked(after),
        [f"{label(rule)}: remove subset {', '.join(going)}"],
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
    lines = []
    for rule in destination_rules(snapshot, service):
        lines.append(label(rule))
        lines += [
            f"  subset {one['name']}: pods with {_shown(one.get('labels') or {})}"
            for one in rule["spec"].get("subsets") or ()
        ]
    return "".join(f"{line}\n" for line in lines)
