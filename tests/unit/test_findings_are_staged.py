# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every finding is provoked on the real API server, or it is written down why not."""

from __future__ import annotations

from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from support.staged import ELSEWHERE, REFUSED, TOLD, WARNED


def test_every_finding_has_a_stage_or_a_reason() -> None:
    staged = {case.code for case in (*REFUSED, *TOLD, *WARNED)}
    assert staged | set(ELSEWHERE) == set(CATALOGUE)
    assert not staged & set(ELSEWHERE)
    assert all(ELSEWHERE.values())


def test_errors_are_refused_and_warnings_told() -> None:
    assert {CATALOGUE[case.code].severity for case in REFUSED} == {"error"}
    assert {CATALOGUE[case.code].severity for case in (*TOLD, *WARNED)} == {"warning"}
