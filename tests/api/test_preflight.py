# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each finding on the real API server: reported with its code; where it is an error, nothing is written.

The pods are real objects that no scheduler takes; the test writes their status, as a kubelet would.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from support.finding_cases import REFUSED, REPORTED, SHIFT, WARNED, FindingCase
from support.finding_causes import second_claim, unready

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.lab import Lab
    from support.simulated_service import SimulatedService

WRITING = {"create", "update", "patch", "delete"}


@pytest.fixture(scope="module", autouse=True)
def no_argo(kube: Kube) -> t.Iterator[None]:
    """Argo CD's API, where a stage needs it, goes with the finding_causes."""
    yield
    kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "applications.argoproj.io")


def prepare(case: FindingCase, simulated: SimulatedService, direct: Direct) -> None:
    case.prepare(simulated)
    for command, options in case.before:
        direct(command, **options)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_an_error_is_refused_with_its_code_and_only_force_overrides_it(
    lab: Lab, direct: Direct, simulated: SimulatedService, case: FindingCase
) -> None:
    prepare(case, simulated, direct)
    before = ours(lab, simulated)
    whole = case.command == "rollout"  # it takes minutes, so that it begins is seen in check mode
    quick = {} if whole else {"wait": False}
    result = direct(case.command, **case.options_in(simulated.elsewhere), **quick, fails=True)
    assert result["changed"] is False
    assert case.code in {one["code"] for one in result["findings"] if one["severity"] == "error"}
    assert ours(lab, simulated) == before, "something was written"
    if not CATALOGUE[case.code].forcible or case.code == "ROUTE_APIS_MIXED":
        return
    forced = [case.code, *(["CAPACITY_BELOW_SHARE"] if whole else [])]
    options = {**case.options_in(simulated.elsewhere), **quick, "force": forced}
    result = direct(case.command, check_mode=whole, **options)
    assert result["changed"] is True
    assert any(warning.startswith(f"{case.code}: ") for warning in result["warnings"])


def test_what_cannot_be_planned_cannot_be_forced(lab: Lab, direct: Direct, simulated: SimulatedService) -> None:
    second_claim(simulated)
    before = ours(lab, simulated)
    result = direct("weight", **SHIFT, wait=False, force=["HOST_CLAIMED_TWICE"], fails=True)
    assert result["error_code"] == "invalid_input"
    assert "select one with the option virtual_services" in result["msg"]
    assert ours(lab, simulated) == before


@pytest.mark.parametrize("case", REPORTED, ids=str)
def test_a_warning_is_reported(direct: Direct, simulated: SimulatedService, case: FindingCase) -> None:
    prepare(case, simulated, direct)
    (found,) = direct("info", measure="none", proxies=False)["services"]
    assert case.code in {one["code"] for one in found["findings"] if one["severity"] == "warning"}


@pytest.mark.parametrize("case", WARNED, ids=str)
def test_a_change_with_a_warning_is_made(direct: Direct, simulated: SimulatedService, case: FindingCase) -> None:
    prepare(case, simulated, direct)
    result = direct(case.command, **case.options_in(simulated.elsewhere), wait=False)
    assert result["changed"] is True
    assert any(warning.startswith(f"{case.code}: ") for warning in result["warnings"])


def ours(lab: Lab, simulated: SimulatedService) -> int:
    """Return how often the collection wrote in the test's namespace, by the API server's audit log."""
    wrote = [event["userAgent"] for event in lab.audited(simulated.namespace) if event["verb"] in WRITING]
    assert wrote, "the audit log must know at least of what this test has written itself"
    return wrote.count("meshops.canary")


def test_a_healthy_service_has_no_errors_and_can_be_shifted(
    lab: Lab, direct: Direct, simulated: SimulatedService
) -> None:
    before = ours(lab, simulated)
    (found,) = direct("info", measure="none", proxies=False)["services"]
    assert [one for one in found["findings"] if one["severity"] == "error"] == []
    assert direct("weight", **SHIFT, wait=False)["changed"] is True
    assert ours(lab, simulated) == before + 1


def test_requests_can_always_be_taken_off_a_broken_version(direct: Direct, simulated: SimulatedService) -> None:
    direct("weight", **SHIFT, wait=False)
    unready(simulated)
    assert direct("weight", weights={"v1": 100}, wait=False)["changed"] is True
