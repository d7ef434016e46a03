# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests that go to the canary beside the percent of everybody else. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ..errors import InvalidInput
from ..routes import plan
from ..routes.matches import FIELDS, condition_of, in_words, istio_blocks
from ..routes.weights import shares_in_words

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..routes.change import Plan
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot

Match = dict[str, t.Any]

NAME: t.Final = "rollout"
"""The cohort's name on the routes. Cohorts by other names are the user's own, and left alone."""
ORDER: t.Final = 1000
"""After the user's own cohorts, which by default have 100: a request that belongs to one of them stays in it."""
_CONDITIONS: t.Final = ("headers", "cookies", "query")
_MAPPINGS: t.Final = (*_CONDITIONS, "source_labels")


def of(given: t.Any, where: str) -> tuple[Match, ...]:
    """Return the cohort an option names, as alternatives of which one must hold; none for {}.

    given: a mapping with the fields of canary_header_route, or with a list of such mappings under `match`. where: the
    option's name, for errors. Conditions come back in their long form ({"exact": "x"}), so that one cohort has one
    form. Raises InvalidInput for what can never select requests.
    """
    if not given:
        return ()
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} must be a mapping with any of {', '.join(FIELDS)}, or with match, not {given!r}.")
    fields = {name: value for name, value in given.items() if value not in (None, "", [], {}, ())}
    listed = fields.pop("match", None)
    if listed is not None and fields:
        raise InvalidInput(f"{where}: match and {', '.join(fields)} exclude each other; put them into the list.")
    alternatives = [fields] if listed is None else listed
    if not isinstance(alternatives, (list, tuple)) or not all(isinstance(one, Mapping) for one in alternatives):
        raise InvalidInput(f"{where}.match must be a list of mappings with any of {', '.join(FIELDS)}.")
    found = tuple(_match(one, where) for one in alternatives)
    try:
        istio_blocks(found)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.msg}") from error
    return found


def options(cohort: Sequence[Mapping[str, t.Any]], version: str) -> dict[str, t.Any]:
    """Return the options of canary_header_route that send the cohort to `version` alone; {} without one."""
    return {"name": NAME, "match": list(cohort), "weights": {version: 100}, "order": ORDER} if cohort else {}


def planned(
    snapshot: Snapshot, service: ServiceRef, cohort: Sequence[Mapping[str, t.Any]], version: str, *, api: str = "auto"
) -> Plan:
    """Plan the routes of the cohort. Raises what plan_cohort raises."""
    return plan.plan_cohort(snapshot, service, **options(cohort, version), api=api)


def words(cohort: Sequence[Mapping[str, t.Any]], version: str) -> str:
    """Return the cohort and where it goes for people, `header end-user is testuser gets v2 100%`; empty without one."""
    return told({"match": in_words(istio_blocks(cohort)), "weights": {version: 100}}) if cohort else ""


def told(described: Mapping[str, t.Any] | None) -> str:
    """Return the same of a cohort as `describe` found it on the routes; empty for None.

    One that was deleted from the routes, but not from their book, has no route left.
    """
    if not described:
        return ""
    gone = " (its routes are deleted)" if described.get("routes") == 0 else ""
    return f"{described['match']} gets {shares_in_words(described['weights'])}{gone}"


def _match(given: Mapping[str, t.Any], where: str) -> Match:
    match: Match = {name: value for name, value in given.items() if value not in (None, "", [], {}, ())}
    for name in _MAPPINGS:
        if name in match and not isinstance(match[name], Mapping):
            raise InvalidInput(f"{where}.{name} must be a mapping of names, not {match[name]!r}.")
    for name in _CONDITIONS:
        if name in match:
            match[name] = {str(key): _long(value, f"{where}.{name}.{key}") for key, value in match[name].items()}
    if "path" in match:
        match["path"] = _long(match["path"], f"{where}.path")
    if "source_labels" in match:
        match["source_labels"] = {str(key): str(value) for key, value in match["source_labels"].items()}
    if "methods" in match:
        methods = match["methods"]
        listed = methods.split(",") if isinstance(methods, str) else methods
        if not isinstance(listed, (list, tuple)):
            raise InvalidInput(f"{where}.methods must be a list of HTTP methods, not {methods!r}.")
        match["methods"] = [str(method).strip().upper() for method in listed]
    return match


def _long(condition: t.Any, where: str) -> dict[str, t.Any]:
    kind, text = condition_of(condition, where)
    return {kind: True if kind in ("present", "absent") else text}
