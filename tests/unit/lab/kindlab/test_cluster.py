# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When `up` installs the mesh again, and what it stops of a daemon that has ended."""

from __future__ import annotations

import typing as t

from lab.kindlab import cluster, dockerd, processes, sources
from lab.kindlab.lab import Lab

if t.TYPE_CHECKING:
    import pathlib

    import pytest


def test_changed_manifest_changes_the_fingerprint_and_bytecode_does_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "HERE", tmp_path / "kindlab")
    (tmp_path / "manifests" / "__pycache__").mkdir(parents=True)
    (tmp_path / "manifests" / "istio.yaml").write_text("one")
    lab = Lab("canary")
    lab.update_state(images_mode="pull")
    before = cluster._fingerprint(lab)
    (tmp_path / "manifests" / "__pycache__" / "targets.pyc").write_text("bytecode")
    assert cluster._fingerprint(lab) == before
    (tmp_path / "manifests" / "istio.yaml").write_text("two")
    assert cluster._fingerprint(lab) != before


def test_forwarders_that_outlived_the_daemon_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(dockerd, "start", lambda: done.append("start"))
    monkeypatch.setattr(processes, "stop", lambda mark, **_grace: done.append(mark))
    Lab("one").update_state(source=sources.PRIVATE)
    Lab("other").update_state(source=sources.DOCKER)
    monkeypatch.setattr(dockerd, "is_running", lambda: True)
    cluster._start_daemon()
    assert done == ["start"]
    done.clear()
    monkeypatch.setattr(dockerd, "is_running", lambda: False)
    cluster._start_daemon()
    assert done == [f"{dockerd.instance()}/forwarder/one", "start"]
