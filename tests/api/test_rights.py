# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user with exactly the documented rights of a namespace can work; a missing one is named, or worked without."""

from __future__ import annotations

import importlib
import typing as t

import pytest

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

USER = "canary-tester"
RBAC = "rbac.authorization.k8s.io/v1"
SHIFT: dict[str, t.Any] = {"weights": {"v1": 90, "v2": 10}, "wait": False, "force": ["SUBSET_NOT_READY"]}


def documented() -> list[tuple[str, str, str]]:
    """Return (verb, API group, resource) of the rights that a Role in the service's namespace must give."""
    rights = importlib.import_module("ansible_collections.meshops.canary.plugins.module_utils.commands.rights")
    needs = [(name, need) for name, need in rights.rules() if need.where == "service" and not need.optional]
    return [(need.verb, need.resource.group, name) for name, need in needs]


def grant(kube: Kube, namespace: str, rights: list[tuple[str, str, str]]) -> None:
    rules = [{"verbs": [verb], "apiGroups": [group], "resources": [name]} for verb, group, name in rights]
    role = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": USER}, "rules": rules}
    binding = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }
    kube.apply(role, binding, namespace=namespace)


def test_the_documented_role_is_enough(direct: Direct, kube: Kube, routed: str) -> None:
    grant(kube, routed, documented())
    done = direct("weight", impersonate_user=USER, **SHIFT)
    assert done["changed"]
    assert any("Not allowed to list virtualservices" in warning for warning in done["warnings"])
    back = {"state": "absent", "wait": False, "force": ["SUBSET_NOT_READY"]}
    assert direct("weight", impersonate_user=USER, **back)["changed"]


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("list", "virtualservices"), ("patch", "virtualservices"), ("list", "destinationrules")],
)
def test_a_right_it_cannot_do_without_is_named(
    direct: Direct, kube: Kube, routed: str, verb: str, resource: str
) -> None:
    kept = [right for right in documented() if (right[0], right[2]) != (verb, resource)]
    assert len(kept) == len(documented()) - 1
    grant(kube, routed, kept)
    failed = direct("weight", impersonate_user=USER, fails=True, **SHIFT)
    assert failed["status"] == 403
    assert (
        f'Grant the verb "{verb}" on "{resource}" (API group "networking.istio.io") in namespace {routed}.'
        in failed["msg"]
    )
    assert f'User "{USER}" cannot {verb}' in failed["msg"]


@pytest.mark.parametrize("resource", ["pods", "deployments", "horizontalpodautoscalers", "services"])
def test_what_preflight_may_not_read_is_told_not_guessed(
    direct: Direct, kube: Kube, routed: str, resource: str
) -> None:
    kept = [right for right in documented() if right[2] != resource]
    assert len(kept) < len(documented())
    grant(kube, routed, kept)
    done = direct("weight", impersonate_user=USER, **SHIFT)
    assert done["changed"]
    notes = [one for one in done["findings"] if one["code"] == "NOT_CHECKED"]
    assert any(resource.startswith(one["object"].lower()) for one in notes), notes


def test_without_the_right_to_forward_ports_it_settles_and_says_so(direct: Direct, kube: Kube, routed: str) -> None:
    grant(kube, routed, documented())
    given = {**SHIFT, "wait": True, "wait_settle": 0.1}
    done = direct("weight", impersonate_user=USER, **given)
    assert done["convergence"]["method"] == "settle"
    assert done["convergence"]["converged"] is None
    assert "istiod could not be asked" in done["convergence"]["note"]
