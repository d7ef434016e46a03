# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that playbooks and roles of the collection have."""

from __future__ import annotations

import functools
import re

import yaml

from .collection import ROOT

PLAYBOOKS = {path.stem for path in ROOT.glob("playbooks/*.yml")}
ROLES = {path.name for path in ROOT.glob("roles/*")}


@functools.cache
def options_of(role: str) -> frozenset[str]:
    """Return the variables of a role, by its argument specs."""
    spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return frozenset(spec["argument_specs"]["main"]["options"])


@functools.cache
def tags_of(role: str) -> frozenset[str]:
    """Return the tags of the tasks of a role."""
    tasks = [path.read_text(encoding="utf-8") for path in (ROOT / "roles" / role / "tasks").glob("*.yml")]
    return frozenset(re.findall(r"\w+", " ".join(re.findall(r"tags: \[(.*)\]", "\n".join(tasks)))))


@functools.cache
def variables_of(playbook: str) -> frozenset[str]:
    """Return what the first lines of a playbook document, and the options of the role it includes."""
    text = (ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    own = re.findall(r"^# ((?:[a-z_]+)(?:, [a-z_]+)*)(?=  |$)", text, re.M)
    included = [role for role in ROLES if f"name: meshops.canary.{role}\n" in text]
    return frozenset(name for names in own for name in names.split(", ")).union(*map(options_of, included))
