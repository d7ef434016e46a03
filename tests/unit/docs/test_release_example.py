# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example of a release is one that the playbook takes, and its editor line leads to the schema of the pages."""

from __future__ import annotations

import json

import jsonschema
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.release import data
from support.collection import ROOT

FOLDER = ROOT / "examples" / "release"
SCHEMA = json.loads((ROOT / "docs" / "release.schema.json").read_text(encoding="utf-8"))


def test_the_example_is_a_release_whose_waves_are_groups_of_its_inventory() -> None:
    written = yaml.safe_load((FOLDER / "release.yml").read_text(encoding="utf-8"))
    jsonschema.validate(written, SCHEMA)
    release = data.parse(written["canary_release"], rollout.SPEC.options)
    inventory = yaml.safe_load((FOLDER / "inventory.yml").read_text(encoding="utf-8"))
    assert list(release.waves) == list(inventory["all"]["children"])
    hosts = [host for group in inventory["all"]["children"].values() for host in group["hosts"]]
    assert len(hosts) == len(set(hosts)), "a cluster is in one wave"


def test_its_first_line_names_the_schema_of_the_repository() -> None:
    first = (FOLDER / "release.yml").read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=https://")
    assert first.endswith("/docs/release.schema.json")


def test_the_release_of_the_guide_is_one_too() -> None:
    page = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    (block,) = (one.partition("```")[0] for one in page.split("```yaml\n")[1:] if "canary_release:" in one)
    assert data.parse(yaml.safe_load(block)["canary_release"], rollout.SPEC.options).name == "shop-42"
