# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every finding is caused on the real API server, or a reason is given why not."""

from __future__ import annotations

from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from support.finding_cases import ELSEWHERE, REFUSED, REPORTED, WARNED


def test_every_finding_has_a_case_or_a_reason() -> None:
    caused = {case.code for case in (*REFUSED, *REPORTED, *WARNED)}
    assert caused | set(ELSEWHERE) == set(CATALOGUE)
    assert not caused & set(ELSEWHERE)
    assert all(ELSEWHERE.values())


def test_errors_are_refused_and_warnings_reported() -> None:
    assert {CATALOGUE[case.code].severity for case in REFUSED} == {"error"}
    assert {CATALOGUE[case.code].severity for case in (*REPORTED, *WARNED)} == {"warning"}
