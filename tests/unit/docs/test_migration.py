# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example of docs/migration.md: what stands before becomes what stands after, by the filter itself."""

from __future__ import annotations

import re
import typing as t

import yaml
from support.collection import ROOT
from support.foreign_manifests import plan

if t.TYPE_CHECKING:
    from support.play import Player

PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """Return the YAML block whose first line is the comment with the file's name."""
    (found,) = re.findall(rf"```yaml\n# {name}\n(.*?)```", PAGE, re.S)
    return str(found)


def test_the_example_is_what_the_filter_returns(play_offline: Player) -> None:
    before = list(yaml.safe_load_all(block("checkout.yml")))
    filtered = "{{ before | meshops.canary.from_argo_rollout(stable='v1', canary='v2') }}"
    task = {"ansible.builtin.debug": {"msg": filtered}, "vars": {"before": before}}
    result = play_offline([task]).last["msg"]
    assert result["variables"] == yaml.safe_load(block("checkout-rollout.yml"))
    assert [step.weight for step in plan(result).steps] == [0, 20, 100]
    assert [one["field"].rpartition(".")[2] for one in result["no_counterpart"]] == ["setMirrorRoute"]
    assert result["ready"]


def test_an_error_of_a_filter_names_the_field(play_offline: Player) -> None:
    canary = {"kind": "Canary", "metadata": {"name": "shop"}, "spec": {}}
    task = {
        "ansible.builtin.debug": {"msg": "{{ canary | meshops.canary.from_flagger_canary }}"},
        "vars": {"canary": canary},
    }
    played = play_offline([task], fails=True)
    assert "from_flagger_canary: Canary shop: spec.targetRef is missing" in played.last["msg"]


def test_the_page_lists_every_key_of_the_result() -> None:
    section = PAGE.partition("## The result")[2].partition("## ")[0]
    listed = set(re.findall(r"^\| `(\w+)`", section, re.M))
    for name in ("from_argo_rollout", "from_flagger_canary"):
        text = (ROOT / "plugins" / "filter" / f"{name}.yml").read_text(encoding="utf-8")
        returned = yaml.safe_load(text)["RETURN"]["_value"]["contains"]
        assert set(returned) <= listed
