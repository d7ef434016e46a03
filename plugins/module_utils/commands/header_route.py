# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_header_route: a cohort, recognised by its requests, with weights of its own."""

from __future__ import annotations

import typing as t

from ..cluster import Cluster
from ..errors import InvalidInput
from ..routes import plan
from ..routes.matches import FIELDS
from .apply import apply
from .argspec import CONNECTION, SCOPE, SERVICE, STATE, WAIT, WRITE, ArgSpec
from .reading import scope_of, service_of
from .run_store import under_way

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.change import Plan
    from ..routes.snapshot import Snapshot

_CONDITIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "headers": {"type": "dict"},
    "cookies": {"type": "dict"},
    "path": {"type": "raw"},
    "methods": {"type": "list", "elements": "str"},
    "query": {"type": "dict"},
    "source_labels": {"type": "dict"},
}

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
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
        "rollout": {"type": "str"},
    },
    required_if=[
        ("state", "present", ["weights"]),
        ("state", "present", [*_CONDITIONS, "match"], True),
    ],
    mutually_exclusive=[("match", name) for name in _CONDITIONS],
)


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Route the cohort, or send it where everybody goes. Raises CanaryError."""
    cluster, service, scope = Cluster.connect(params, env), service_of(params), scope_of(params)

    def decide(snapshot: Snapshot) -> Plan:
        api, name = params["route_api"], params["name"]
        if params["state"] == "absent":
            return plan.plan_cohort_absent(snapshot, service, name, scope=scope, api=api)
        return plan.plan_cohort(
            snapshot, service, name, wanted(params), params["weights"], order=params["order"], scope=scope, api=api
        )

    last_look = under_way(cluster, service, params["rollout"])
    return apply(cluster, service, decide, params, check_mode=check_mode, log=log, last_look=last_look)


def wanted(params: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the alternatives that make a request one of the cohort, in the words of `routes/matches.py`.

    Raises InvalidInput for an option of the wrong shape.
    """
    if params.get("match") is None:
        return [_conditions(params, "")]
    return [_conditions(one, f"match[{index}].") for index, one in enumerate(params["match"])]


def _conditions(given: Mapping[str, t.Any], where: str) -> dict[str, t.Any]:
    found = {field: given[field] for field in FIELDS if given.get(field)}
    path = found.get("path")
    if path is not None and not isinstance(path, (str, dict)):
        raise InvalidInput(f"{where}path must be a text or one of exact, prefix, regex with a text, not {path!r}.")
    return found
