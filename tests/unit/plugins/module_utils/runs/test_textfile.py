# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file for node_exporter is replaced as a whole, and a failure is a warning."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.runs import textfile
from support.rollout_results import PROMOTED, report_after

if t.TYPE_CHECKING:
    from pathlib import Path


def test_the_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    target = tmp_path / "canary.prom"
    target.write_text("old", encoding="utf-8")
    assert textfile.write(str(target), report_after(*PROMOTED)) == ""
    assert "canary_rollout_steps{" in target.read_text(encoding="utf-8")
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    warning = textfile.write(str(tmp_path / "missing" / "canary.prom"), report_after(*PROMOTED))
    assert "could not be written; the rollout continues" in warning
