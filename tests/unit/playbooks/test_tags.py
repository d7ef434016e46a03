# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With --tags a playbook or a role runs as a whole or not at all: never an empty run that looks like a success."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml
from support.collection import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.play import Played, Player

ROLE = {f"rollout_{name}": name for name in ("service", "namespace", "stable", "canary")}
GIVEN = {"service": "reviews", "ns": "shop", "stable": "v1", "canary": "v2", "rollout_report_dir": ""}
ADVANCE = "Advance the rollout"
NOWHERE = {"HOME": "/nonexistent"}
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
INCLUDES = [*PLAYBOOKS, *sorted((ROOT / "roles").glob("*/tasks/*.yml"))]


def reached(played: Played) -> bool:
    """Return whether the work began, which cannot succeed here."""
    return any("No kubeconfig" in str(result.get("msg")) for _name, _host, result in played.tasks)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_has_its_name_as_tag(path: Path) -> None:
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [play["tags"] for play in plays] == [[path.stem]] * len(plays)


@pytest.mark.parametrize("path", INCLUDES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_what_is_included_runs_with_the_task_that_includes_it(path: Path) -> None:
    found = re.findall(
        r"^( *)ansible\.builtin\.include_(?:tasks|role):(.*(?:\n\1 +.*)*)", path.read_text(encoding="utf-8"), re.M
    )
    assert all("tags: [always]" in options for _indent, options in found)


@pytest.mark.parametrize("tag", ["rollout", "deploy"])
def test_the_playbook_runs_with_its_tag_or_that_of_the_import(play_offline: Player, tag: str) -> None:
    imported = [{"import_playbook": "meshops.canary.rollout", "tags": ["deploy"]}]
    played = play_offline(imported, "--tags", tag, fails=True, environment=NOWHERE, **GIVEN)
    assert reached(played)
    assert not play_offline(imported, "--tags", "other", environment=NOWHERE, **GIVEN).tasks


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("import_role", {}),
        ("include_role", {"apply": {"tags": ["always"]}}),
    ],
)
def test_the_role_runs_with_the_tag_of_the_task(play_offline: Player, verb: str, more: dict[str, t.Any]) -> None:
    given = {role: GIVEN.get(name, "shop") for role, name in ROLE.items()}
    task = {f"ansible.builtin.{verb}": {"name": "meshops.canary.rollout", **more}, "vars": given, "tags": ["deploy"]}
    options = {"environment": NOWHERE, "rollout_report_dir": ""}
    assert reached(play_offline([task], "--tags", "deploy", fails=True, **options))
    assert not reached(play_offline([task], "--tags", "other", **options))
