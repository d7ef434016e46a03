# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Role in docs/rights.md suffices, and each verb of it is needed: without it preflight names it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands.rights import NEEDS

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.scene import Scene

RBAC = "rbac.authorization.k8s.io"
SHIFT = {"v1": 75, "v2": 25}


def role(without: int | None = None) -> dict[str, t.Any]:
    """Return a Role with exactly the documented verbs, but for one."""
    rules = [
        {
            "apiGroups": [need.resource.group],
            "resources": [f"{need.resource.plural}/{need.subresource}" if need.subresource else need.resource.plural],
            "verbs": [need.verb],
        }
        for number, need in enumerate(ALWAYS)
        if number != without
    ]
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": "canary"}, "rules": rules}


ALWAYS = [need for need in NEEDS if not need.optional]


@pytest.fixture
def limited(scene: Scene) -> str:
    """The name of a user whom the Role `canary` of the test's namespace is given to."""
    user = f"canary-{scene.namespace}"
    scene.apply(
        role(),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "canary"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "canary"},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        },
    )
    return user


def test_the_documented_role_suffices(direct: Direct, scene: Scene, limited: str) -> None:
    (told,) = direct("info", measure="none", proxies=False, impersonate_user=limited)["services"]
    assert [one for one in told["findings"] if one["code"] == "RIGHT_MISSING"] == []
    assert direct("weight", weights=SHIFT, wait=False, impersonate_user=limited)["changed"] is True
    assert direct("weight", weights={"v1": 100}, wait=False, impersonate_user=limited)["changed"] is True


@pytest.mark.parametrize(
    "number", range(len(ALWAYS)), ids=lambda number: f"{ALWAYS[number].verb}-{ALWAYS[number].resource.plural}"
)
def test_a_missing_verb_is_named(direct: Direct, scene: Scene, limited: str, number: int) -> None:
    scene.apply(role(without=number))
    need = ALWAYS[number]
    result = direct.attempt("info", measure="none", proxies=False, impersonate_user=limited)
    if result.get("failed"):  # the service cannot be found at all
        assert need.resource.plural in result["msg"]
        assert need.verb in result["msg"]
        return
    findings = [one for one in result["services"][0]["findings"] if one["code"] == "RIGHT_MISSING"]
    assert [one["object"] for one in findings] == [f"{need.verb} {need.resource.qualified}"]
    assert f"kubectl auth can-i {need.verb} {need.resource.qualified} -n {scene.namespace}" in findings[0]["remedy"]
