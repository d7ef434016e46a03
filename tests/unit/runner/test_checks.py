# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A soak run gives its steps the full counts."""

from __future__ import annotations

import typing as t

import pytest
from runner import checks
from support.collection import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path


def places(out: Path, soak: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the files and folders of tests that run on the oldest ansible-core."""
    monkeypatch.setenv("CANARY_SOAK", soak)
    steps, _not_run = checks.release_steps(ROOT, out)
    return {word for word in steps[0].commands[0] if word.startswith("tests/")}


def test_a_soak_run_has_more_tests_on_each_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, all_ = (places(tmp_path, soak, monkeypatch) for soak in ("0", "1"))
    assert few < all_
    assert [place for place in all_ if not (ROOT / place).exists()] == []


@pytest.mark.parametrize(("soak", "seeded"), [("0", False), ("1", True)])
def test_a_soak_run_seeds_the_property_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soak: str, seeded: bool
) -> None:
    monkeypatch.setenv("CANARY_SOAK", soak)
    monkeypatch.setenv("CANARY_SEED", "7")
    assert ("--hypothesis-seed=7" in checks.property_step(ROOT, tmp_path, "soak").commands[0]) == seeded
