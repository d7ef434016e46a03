# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cohort of a rollout: requests that all go to the canary, whatever its weight. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ..errors import InvalidInput
from ..objects import intents
from ..objects.matches import FIELDS, match_text, parse_condition, to_istio_blocks
from ..objects.weights import weights_text
from ..routing import plan

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot

Match = dict[str, t.Any]

NAME: t.Final = "rollout"
"""The cohort's name on the routes. Cohorts with other names belong to the user and stay unchanged."""
ORDER: t.Final = 1000
"""After the user's own cohorts (default order 100), so that a request that matches one of them stays in it."""
_CONDITIONS: t.Final = ("headers", "cookies", "query")
_MAPPINGS: t.Final = (*_CONDITIONS, "source_labels")


def parse(given: t.Any, where: str) -> tuple[Match, ...]:
    """Return the cohort of an option as alternative matches; empty for {}.

    given: a mapping with the fields of canary_header_route, or with a list of such mappings under `match`. where: the
    option's name, for errors. Conditions are returned in their long form ({"exact": "x"}), so that equal cohorts are
    equal values. Raises InvalidInput for a match that can never select requests.
    """
    if not given:
        return ()
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} must be a mapping with any of {', '.join(FIELDS)}, or with match, not {given!r}.")
    fields = {name: value for name, value in given.items() if value not in (None, "", [], {}, ())}
    listed = fields.pop("match", None)
    if listed is not None and fields:
        raise InvalidInput(
            f"{where}: match and {', '.join(fields)} exclude each other; move these fields into the list."
        )
    alternatives = [fields] if listed is None else listed
    if not isinstance(alternatives, (list, tuple)) or not all(isinstance(one, Mapping) for one in alternatives):
        raise InvalidInput(f"{where}.match must be a list of mappings with any of {', '.join(FIELDS)}.")
    found = tuple(_match(one, where) for one in alternatives)
    try:
        to_istio_blocks(found)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.msg}") from error
    return found


def route_options(cohort: Sequence[Mapping[str, t.Any]], version: str) -> dict[str, t.Any]:
    """Return the options of canary_header_route that route the cohort to `version` only; {} without a cohort."""
    return {"name": NAME, "match": list(cohort), "weights": {version: 100}, "order": ORDER} if cohort else {}


def plan_routes(
    snapshot: Snapshot, service: ServiceRef, cohort: Sequence[Mapping[str, t.Any]], version: str, *, api: str = "auto"
) -> Plan:
    """Plan the routes of the cohort. Raises what the planner raises."""
    return plan.plan(snapshot, service, intents.SetCohort(**route_options(cohort, version)), api=api)


def describe(cohort: Sequence[Mapping[str, t.Any]], version: str) -> str:
    """Return a text such as `header end-user is testuser gets v2 100%`; empty without a cohort."""
    return describe_found({"match": match_text(to_istio_blocks(cohort)), "weights": {version: 100}}) if cohort else ""


def describe_found(described: Mapping[str, t.Any] | None) -> str:
    """Return the same text for a cohort found on the routes by routing.plan.describe; empty for None.

    A cohort without routes was deleted from the object, but not from its managed state.
    """
    if not described:
        return ""
    deleted = " (its routes are deleted)" if described.get("routes") == 0 else ""
    return f"{described['match']} gets {weights_text(described['weights'])}{deleted}"


def _match(given: Mapping[str, t.Any], where: str) -> Match:
    match: Match = {name: value for name, value in given.items() if value not in (None, "", [], {}, ())}
    for name in _MAPPINGS:
        if name in match and not isinstance(match[name], Mapping):
            raise InvalidInput(f"{where}.{name} must be a mapping of names, not {match[name]!r}.")
    for name in _CONDITIONS:
        if name in match:
            match[name] = {str(key): _long_form(value, f"{where}.{name}.{key}") for key, value in match[name].items()}
    if "path" in match:
        match["path"] = _long_form(match["path"], f"{where}.path")
    if "source_labels" in match:
        match["source_labels"] = {str(key): str(value) for key, value in match["source_labels"].items()}
    if "methods" in match:
        methods = match["methods"]
        listed = methods.split(",") if isinstance(methods, str) else methods
        if not isinstance(listed, (list, tuple)):
            raise InvalidInput(f"{where}.methods must be a list of HTTP methods, not {methods!r}.")
        match["methods"] = [str(method).strip().upper() for method in listed]
    return match


def _long_form(condition: t.Any, where: str) -> dict[str, t.Any]:
    kind, text = parse_condition(condition, where)
    return {kind: True if kind in ("present", "absent") else text}
