# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `force` takes is told before anything is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.writing.apply import apply

NEVER = [code for code, kind in CATALOGUE.items() if not kind.forcible]


def refusal(*codes: str) -> str:
    params = {"force": list(codes), "service": "reviews", "namespace": "shop"}
    with pytest.raises(InvalidInput) as caught:
        apply(
            t.cast(t.Any, None), ServiceRef("reviews", "shop"), t.cast(t.Any, None), params, check_mode=True, log=print
        )
    return caught.value.msg


@pytest.mark.parametrize("code", NEVER)
def test_what_cannot_be_planned_cannot_be_forced(code: str) -> None:
    said = refusal("SUBSET_NOT_READY", code)
    assert said.startswith(f"force: {code} cannot be forced")
    assert CATALOGUE[code].remedy in said


def test_an_unknown_code_is_answered_with_those_that_can_be_forced() -> None:
    said = refusal("SUBSET_UNREADY")
    assert "there is no finding SUBSET_UNREADY" in said
    assert "SUBSET_NOT_READY" in said
    assert "HOST_CLAIMED_TWICE" not in said


def test_only_errors_are_marked() -> None:
    assert {CATALOGUE[code].severity for code in NEVER} == {"error"}
