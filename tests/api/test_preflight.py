# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stage for each finding on the real API server: told with its code, and where it is an error nothing is written.

The pods are real objects that no scheduler takes; their status is set by the test, as a kubelet would (`Scene`).
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from support.staged import REFUSED, SHIFT, TOLD, WARNED, Staged
from support.stages import second_claim, unready

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.lab import Lab
    from support.scene import Scene

WRITING = {"create", "update", "patch", "delete"}
FORCED = [case for case in REFUSED if CATALOGUE[case.code].forcible and case.code != "ROUTE_APIS_MIXED"]


@pytest.fixture(scope="module", autouse=True)
def no_argo(kube: Kube) -> t.Iterator[None]:
    """Argo CD's API, where a stage needs it, goes with the stages."""
    yield
    kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "applications.argoproj.io")


def set_the_stage(case: Staged, scene: Scene, direct: Direct) -> None:
    case.prepare(scene)
    for command, options in case.before:
        direct(command, **options)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_an_error_is_refused_with_its_code_and_nothing_is_written(
    lab: Lab, direct: Direct, scene: Scene, case: Staged
) -> None:
    set_the_stage(case, scene, direct)
    before = ours(lab, scene)
    result = direct(case.command, **case.options, wait=False, fails=True)
    assert result["changed"] is False
    assert case.code in {one["code"] for one in result["findings"] if one["severity"] == "error"}
    assert ours(lab, scene) == before


@pytest.mark.parametrize("case", FORCED, ids=str)
def test_force_names_what_it_overrides(direct: Direct, scene: Scene, case: Staged) -> None:
    set_the_stage(case, scene, direct)
    result = direct(case.command, **case.options, wait=False, force=[case.code])
    assert result["changed"] is True
    assert any(warning.startswith(f"{case.code}: ") for warning in result["warnings"])


def test_what_cannot_be_planned_cannot_be_forced(lab: Lab, direct: Direct, scene: Scene) -> None:
    second_claim(scene)
    result = direct("weight", **SHIFT, wait=False, force=["HOST_CLAIMED_TWICE"], fails=True)
    assert result["error_code"] == "invalid_input"
    assert "name the one you mean with virtual_services" in result["msg"]
    assert ours(lab, scene) == 0


@pytest.mark.parametrize("case", TOLD, ids=str)
def test_a_warning_is_told(direct: Direct, scene: Scene, case: Staged) -> None:
    set_the_stage(case, scene, direct)
    (told,) = direct("info", measure="none", proxies=False)["services"]
    assert case.code in {one["code"] for one in told["findings"] if one["severity"] == "warning"}


@pytest.mark.parametrize("case", WARNED, ids=str)
def test_a_change_goes_on_and_says_the_warning(direct: Direct, scene: Scene, case: Staged) -> None:
    set_the_stage(case, scene, direct)
    result = direct(case.command, **case.options, wait=False)
    assert result["changed"] is True
    assert any(warning.startswith(f"{case.code}: ") for warning in result["warnings"])


def ours(lab: Lab, scene: Scene) -> int:
    """Return how often the collection wrote in the test's namespace, by the API server's audit log."""
    wrote = [event["userAgent"] for event in lab.audited(scene.namespace) if event["verb"] in WRITING]
    assert wrote, "the audit log must know at least of what this test has written itself"
    return wrote.count("meshops.canary")


def test_a_sound_service_is_free_of_errors_and_can_be_shifted(lab: Lab, direct: Direct, scene: Scene) -> None:
    (told,) = direct("info", measure="none", proxies=False)["services"]
    assert [one for one in told["findings"] if one["severity"] == "error"] == []
    assert direct("weight", **SHIFT, wait=False)["changed"] is True
    assert ours(lab, scene) == 1


def test_requests_can_always_be_taken_off_a_broken_version(direct: Direct, scene: Scene) -> None:
    direct("weight", **SHIFT, wait=False)
    unready(scene)
    assert direct("weight", weights={"v1": 100}, wait=False)["changed"] is True
