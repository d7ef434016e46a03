# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VirtualServices from real complaints, each under the name of its case, with what must become of it.

shapes/*.yml: `http`, `tcp`, `tls` are the routes of a VirtualService for the host reviews; `to` is short for `route`:
`v1:90@8080` is subset v1 with weight 90 on port 8080, `reviews` the service without subset, `legacy` another host.
`do`: what is asked for, in order. `then`, `then_tcp`, `then_tls`: the routes afterwards; `same`: nothing changes.
`refused`: the error's code, `finding`: its finding's. `final`: it is meant not to be given back.
Whatever the case says, the patch must make it so, a second run must change nothing, and taking all of it back must
give the original.
"""

from __future__ import annotations

import copy
import re
import typing as t
from pathlib import Path

import jsonpatch
import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import route_strategies as rs

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

REVIEWS = ServiceRef("reviews", "bookinfo")
SHAPES = Path(__file__).parent / "shapes"
VERSIONS = ("v1", "v2", "v3", "v4", "v10", "stable", "canary")
HOSTS = {"legacy": "legacy.example.com"}
Case = dict[str, t.Any]


def cases() -> list[t.Any]:
    found = [case for file in sorted(SHAPES.glob("*.yml")) for case in yaml.safe_load(file.read_text())]
    return [pytest.param(case, id=case["case"]) for case in found]


def destination(token: str) -> rs.Json:
    match = re.fullmatch(r"([a-z0-9]+)(?::(-?\d+))?(?:@(\d+))?", token)
    assert match, token
    name, weight, port = match.groups()
    target: rs.Json = {"host": "reviews", "subset": name} if name in VERSIONS else {"host": HOSTS.get(name, name)}
    if port:
        target["port"] = {"number": int(port)}
    return {"destination": target, **({"weight": int(weight)} if weight else {})}


def routes(written: t.Sequence[rs.Json]) -> list[rs.Json]:
    """Return the routes with `to` written out."""
    full = []
    for one in written:
        route = {key: copy.deepcopy(value) for key, value in one.items() if key != "to"}
        if "to" in one:
            route["route"] = [destination(token) for token in one["to"].split()]
        full.append(route)
    return full


def virtual_service(case: Case) -> rs.Json:
    spec = {"hosts": ["reviews"], **case.get("spec", {})}
    spec.update({protocol: routes(case[protocol]) for protocol in ("http", "tcp", "tls") if protocol in case})
    metadata = {"name": "reviews", "namespace": "bookinfo", "resourceVersion": "1", **case.get("meta", {})}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


def planned(snapshot: Snapshot, step: Case) -> Plan:
    scope = Scope(routes=tuple(step.get("routes", ())))
    for verb, value in step.items():
        if verb == "weights":
            return plan.plan(
                snapshot, REVIEWS, intents.SetWeights(value, finalize=step.get("finalize", False)), scope=scope
            )
        if verb == "cohort":
            return plan.plan(snapshot, REVIEWS, intents.SetCohort(**value), scope=scope)
        if verb == "mirror":
            return plan.plan(snapshot, REVIEWS, intents.SetMirror(**value), scope=scope)
        if verb == "sticky":
            return plan.plan(snapshot, REVIEWS, intents.SetSticky(), scope=scope)
        if verb == "cohort_absent":
            return plan.plan(snapshot, REVIEWS, intents.RemoveCohort(value))
        if verb == "weights_absent":
            return plan.plan(snapshot, REVIEWS, intents.RestoreWeights())
        if verb == "mirror_absent":
            return plan.plan(snapshot, REVIEWS, intents.RemoveMirror())
        if verb == "sticky_absent":
            return plan.plan(snapshot, REVIEWS, intents.RemoveSticky())
    raise AssertionError(f"the case asks for nothing: {step}")


def write(snapshot: Snapshot, step: Case) -> Snapshot:
    wanted = planned(snapshot, step)
    for change in wanted.changes:
        assert jsonpatch.apply_patch(change.before, list(change.patch)) == change.after
        assert change.patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "1"}
    return snapshot.after(wanted.changes)


def only(snapshot: Snapshot) -> rs.Json:
    assert snapshot.virtual_services is not None
    return snapshot.virtual_services[0]


def take_everything_back(snapshot: Snapshot, wishes: t.Sequence[Case]) -> Snapshot:
    for desired in wishes:
        if "cohort" in desired:
            snapshot = write(snapshot, {"cohort_absent": desired["cohort"]["name"]})
    for verb in ("sticky_absent", "mirror_absent", "weights_absent"):
        snapshot = write(snapshot, {verb: True})
    return snapshot


@pytest.mark.parametrize("case", cases())
def test_each_case_has_the_expected_routes(case: Case) -> None:
    original = virtual_service(case)
    snapshot = Snapshot(virtual_services=(copy.deepcopy(original),), destination_rules=(rs.destination_rule(VERSIONS),))
    wishes: list[Case] = case["do"] if isinstance(case["do"], list) else [case["do"]]

    if "refused" in case:
        with pytest.raises(CanaryError) as refusal:
            planned(snapshot, wishes[0])
        assert refusal.value.code == case["refused"]
        assert [one["code"] for one in refusal.value.details.get("findings", ())][:1] == (
            [case["finding"]] if "finding" in case else []
        )
        assert only(snapshot) == original
        return

    after = snapshot
    for desired in wishes:
        after = write(after, desired)
    if case.get("same"):
        assert only(after) == original
    for protocol, key in (("http", "then"), ("tcp", "then_tcp"), ("tls", "then_tls")):
        if key in case:
            assert only(after)["spec"][protocol] == routes(case[key])
    kept = {key: value for key, value in original["spec"].items() if key not in ("http", "tcp", "tls")}
    assert {key: only(after)["spec"][key] for key in kept} == kept
    assert not planned(after, wishes[-1]).changes
    if not case.get("final"):
        assert only(take_everything_back(after, wishes)) == original
    assert only(snapshot) == original


def test_each_shape_has_a_name_of_its_own() -> None:
    names = [param.id for param in cases()]
    assert len(names) == len(set(names))
