# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the shares and the cohorts of a service's routes."""

from __future__ import annotations

import typing as t

from ..errors import Drifted, InvalidInput
from ..objects.intents import RemoveCohort, RestoreWeights, SetCohort, SetWeights
from ..objects.matches import FIELDS
from ..objects.weights import parse_percent, same_split, weights_text
from ..routing import plan
from ..task.argument_spec import SCOPE, SERVICE, STATE, WAIT, WRITE, ArgSpec
from ..task.reading import api_of, scope_of, service_of
from .apply import apply

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster
    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

    Check = Callable[[], None]

WEIGHT_SPEC: t.Final = ArgSpec(
    {
        **SERVICE,
        **SCOPE,
        **WRITE,
        **WAIT,
        **STATE,
        "weights": {"type": "dict"},
        "finalize": {"type": "bool", "default": False},
        "expected": {"type": "dict"},
        "end_cohorts": {"type": "list", "elements": "str", "default": []},
    },
    required_if=[("state", "present", ["weights"])],
)

_CONDITIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "headers": {"type": "dict"},
    "cookies": {"type": "dict"},
    "path": {"type": "raw"},
    "methods": {"type": "list", "elements": "str"},
    "query": {"type": "dict"},
    "source_labels": {"type": "dict"},
}

COHORT_SPEC: t.Final = ArgSpec(
    {
        **SERVICE,
        **SCOPE,
        **WRITE,
        **WAIT,
        **STATE,
        **_CONDITIONS,
        "name": {"type": "str", "default": "canary", "aliases": ["cohort"]},
        "match": {"type": "list", "elements": "dict", "options": _CONDITIONS},
        "weights": {"type": "dict"},
        "order": {"type": "int", "default": 100},
    },
    required_if=[
        ("state", "present", ["weights"]),
        ("state", "present", [*_CONDITIONS, "match"], True),
    ],
    mutually_exclusive=[("match", name) for name in _CONDITIONS],
)


def write_weights(
    cluster: Cluster, params: Mapping[str, t.Any], context: Context, before_write: Check | None = None
) -> dict[str, t.Any]:
    """Set the weights, or restore the route as it was; return the task's result.

    params: see WEIGHT_SPEC. before_write: called right before the first write; it raises to refuse. Raises CanaryError.
    """
    if params["state"] == "absent" and params["end_cohorts"]:
        raise InvalidInput("end_cohorts cannot be used with state: absent. Remove the cohort with canary_header_route.")
    service = service_of(params)
    intent = (
        RestoreWeights()
        if params["state"] == "absent"
        else SetWeights(params["weights"], finalize=params["finalize"], end_cohorts=params["end_cohorts"])
    )

    def decide(snapshot: Snapshot) -> Plan:
        planned = plan.plan(snapshot, service, intent, scope=scope_of(params), api=api_of(params))
        if params["expected"] is not None and params["state"] == "present":
            _must_be_as_expected(service, planned, params["expected"])
        return planned

    return _write(cluster, service, decide, params, context, before_write)


def write_cohort(
    cluster: Cluster, params: Mapping[str, t.Any], context: Context, before_write: Check | None = None
) -> dict[str, t.Any]:
    """Route the cohort, or remove it; return the task's result. See write_weights; params: see COHORT_SPEC."""
    service, name = service_of(params), params["name"]

    def decide(snapshot: Snapshot) -> Plan:
        intent = (
            RemoveCohort(name)
            if params["state"] == "absent"
            else SetCohort(name, cohort_matches(params), params["weights"], order=params["order"])
        )
        return plan.plan(snapshot, service, intent, scope=scope_of(params), api=api_of(params))

    return _write(cluster, service, decide, params, context, before_write)


def _write(
    cluster: Cluster,
    service: ServiceRef,
    decide: Callable[[Snapshot], Plan],
    params: Mapping[str, t.Any],
    context: Context,
    before_write: Check | None,
) -> dict[str, t.Any]:
    return apply(
        cluster,
        service,
        decide,
        params,
        check_mode=context.check_mode,
        log=context.log,
        pre_write_check=before_write,
    )


def _must_be_as_expected(service: ServiceRef, planned: Plan, expected: Mapping[str, t.Any]) -> None:
    """Raise Drifted unless the weights are those expected, or already those that are wanted."""
    now = {version: float(percent) for version, percent in planned.weights_before.items() if version}
    before = {name: float(parse_percent(percent, f"expected.{name}")) for name, percent in expected.items()}
    if same_split(now, before) or same_split(now, planned.weights_after):
        return
    result = weights_text(now) or "not set"
    requested = weights_text({version: percent for version, percent in before.items() if percent})
    raise Drifted(
        f"Conflict: the weights of {service.name} in {service.namespace} are {result}, but {requested} was expected. "
        "Nothing was written. Find out what changed them, then run the task again with the current weights as "
        "expected, or without "
        "expected to accept any weights.",
        weights_now=now,
        expected=before,
    )


def cohort_matches(params: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the alternatives that make a request one of the cohort, in the form of objects/matches.py.

    Raises InvalidInput for an option of the wrong shape.
    """
    if params.get("match") is None:
        return [_conditions(params, "")]
    return [_conditions(one, f"match[{index}].") for index, one in enumerate(params["match"])]


def _conditions(given: Mapping[str, t.Any], where: str) -> dict[str, t.Any]:
    found = {field: given[field] for field in FIELDS if given.get(field)}
    path = found.get("path")
    if path is not None and not isinstance(path, (str, dict)):
        raise InvalidInput(f"{where}path must be a string or a mapping with exact, prefix or regex, not {path!r}.")
    return found
