# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A separate cache and private daemon for each test, without settings from the environment."""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    import pathlib


@pytest.fixture(autouse=True)
def cache_root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CANARY_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "CANARY_LAB_INSTANCE", "canary-lab-of-unit-tests"
    )  # else `down` would stop the daemon of the lab
    for name in ("CANARY_LAB_KUBECONFIG", "CANARY_LAB_CONTEXT", "IMAGES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"
