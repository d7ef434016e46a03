# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout and a release whose user has no home folder, as in a container with an unknown user and a read-only root.

Modules of ansible-core cannot make their folder below `~/.ansible` there, and are unreachable, which no rescue catches.
"""

from __future__ import annotations

import json
import typing as t

import pytest
from support.rollout_role import OPTIONS, Role

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

HOMELESS = {"HOME": "/proc/nowhere", "ANSIBLE_REMOTE_TEMP": "~/.ansible/tmp"}


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def test_a_rollout_writes_its_reports(role: Role, tmp_path: Path) -> None:
    played = role(report_dir=str(tmp_path / "reports"), environment=HOMELESS)
    assert role.state() == ("promoted", {"v2": 100})
    assert {path.suffix for path in (tmp_path / "reports").iterdir()} == {".json", ".md", ".html"}
    assert [host["unreachable"] for host in played.stats.values()] == [0]


def test_a_folder_for_temporary_files_that_cannot_be_made_keeps_no_promotion(role: Role, tmp_path: Path) -> None:
    environment = {**HOMELESS, "TMPDIR": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path)}
    reports = str(tmp_path / "reports")
    played = role(report_dir=reports, environment=environment, ansible_remote_tmp="/proc/nowhere")
    assert role.state() == ("promoted", {"v2": 100})
    assert "head of the report" in json.dumps(played.task("meshops.canary.rollout : Display the result"))


def test_a_report_that_was_not_written_is_not_named(role: Role, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no folder")
    played = role(fails=True, report_dir=str(tmp_path / "file"), rollout_after_step=str(tmp_path / "none.yml"))
    message = played.task("meshops.canary.rollout : Fail if the canary was not promoted")["msg"]
    assert "was not promoted" in message
    assert "(report:" not in message


def test_a_release_writes_its_report(play: Player, routed: str, direct: Direct, tmp_path: Path) -> None:
    options = {name: OPTIONS[name] for name in ("pause", "deadline", "analysis")}
    service = {"service": "reviews", "namespace": routed, "stable": "v1", "canary": "v2"}
    own = {"capacity": False, "drain": 1, "force": OPTIONS["rollout_force"], **options}
    release = {"name": "shop", "services": [service], "steps": [50], "defaults": own}
    given = {"canary_release": release, "canary_hosts": "localhost", "release_report_dir": str(tmp_path / "reports")}
    play("meshops.canary.release", environment=HOMELESS, **given)
    assert (tmp_path / "reports" / "release-shop.md").is_file()
