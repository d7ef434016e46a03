# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of lab/cluster."""

from __future__ import annotations

import typing as t

from lab.kindlab import cli

if t.TYPE_CHECKING:
    import pytest


def test_arguments_after_two_hyphens_are_the_command() -> None:
    assert cli._split(["exec", "core", "--", "ip", "--", "a"]) == (["exec", "core"], ["ip", "--", "a"])


def test_missing_cluster_is_an_error_with_the_command_that_creates_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig", "nowhere"]) == 1
    assert "lab/cluster up nowhere" in capsys.readouterr().err
