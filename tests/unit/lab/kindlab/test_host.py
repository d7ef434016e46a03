# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capabilities of the machine, and the policy file of a killed package installation."""

from __future__ import annotations

import typing as t

import pytest

from lab.kindlab import host

if t.TYPE_CHECKING:
    import pathlib


@pytest.mark.parametrize(
    ("bounding", "lacking"), [("000001ffffffffff", False), ("000001fffeffffff", True), ("0000000001000000", False)]
)
def test_missing_capability_is_detected(bounding: str, lacking: bool) -> None:
    assert host.lacks_sys_resource(f"Name:\tx\nCapEff:\t{'f' * 16}\nCapBnd:\t{bounding}\n") is lacking


def test_only_the_leftover_policy_of_the_lab_is_removed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: True)
    host.POLICY.write_text(host.NO_SERVICES)
    host.remove_leftover_policy()
    assert not host.POLICY.exists()
    host.POLICY.write_text("#!/bin/sh\nexit 0\n")
    host.remove_leftover_policy()
    assert host.POLICY.exists()
