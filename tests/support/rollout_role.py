# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout as a user runs it, by its playbook, for a service without pods whose canary is not judged."""

from __future__ import annotations

import typing as t

from .direct import ISTIO
from .rollout_tasks import ADA

if t.TYPE_CHECKING:
    from pathlib import Path

    from .direct import Direct
    from .kube import Kube
    from .play import Played, Player

OPTIONS: dict[str, t.Any] = {
    "service": "reviews", "stable": "v1", "canary": "v2", "steps": [50], "pause": 0, "deadline": 30, "analysis": False,
    "report_dir": "", "rollout_capacity": False, "rollout_retire_after": 0, "rollout_drain": 1,
    "rollout_force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}  # fmt: skip
ADVANCED = "meshops.canary.rollout : Advance the rollout"
PLANNED = "meshops.canary.rollout : Display the plan"
SHORT = ("service", "ns", "stable", "canary", "steps")
"""Variables of the playbook with a short name; all others are the role's."""


class Role:
    """Call it with options of ansible-playbook and variables of the playbook."""

    def __init__(self, play: Player, kube: Kube, direct: Direct) -> None:
        self.play, self.kube, self.direct, self.space = play, kube, direct, direct.namespace

    def __call__(self, *options: str, fails: bool = False, **variables: t.Any) -> Played:
        environment = variables.pop("environment", None)
        given = role_variables({"ns": self.space, **OPTIONS, **variables})
        return self.play("meshops.canary.rollout", *options, fails=fails, environment=environment, **given)

    def weights(self) -> dict[str, int]:
        """Return the weights above 0 of the VirtualService."""
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.space)
        assert found
        route = found["spec"]["http"][-1]["route"]
        return {one["destination"]["subset"]: one["weight"] for one in route if one.get("weight")}

    def report(self) -> dict[str, t.Any]:
        """Return the report of the last rollout."""
        return dict(self.direct("rollout", state="present")["report"])

    def state(self) -> tuple[str, dict[str, int]]:
        """Return the rollout's phase and the weights."""
        return self.report()["phase"], self.weights()

    def leave(self, *events: str, **plan: t.Any) -> dict[str, t.Any]:
        """Begin a rollout as a run would that was killed after these events; return its `run` then."""
        options = {name: OPTIONS[name] for name in ("stable", "canary", "steps", "deadline", "pause", "analysis")}
        last = self.direct("rollout", state="opened", holder=ADA, **{**options, **plan})
        for event in events:
            last = self.direct("rollout", state="recorded", event=event, holder=ADA)
            self.direct("weight", weights=last["run"]["desired_weights"], preflight=False, wait=False)
        self.direct("rollout", state="closed", holder=ADA)
        return dict(last["run"])


def role_variables(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return options of a rollout as variables of its playbook."""
    named = {
        name: name if name in SHORT or name.startswith(("rollout_", "canary_")) else f"rollout_{name}" for name in given
    }
    return {named[name]: value for name, value in given.items()}


def hook(path: Path, **task: t.Any) -> str:
    """Return a file with one task, by its module's name with dots as underscores."""
    module, options = next(iter(task.items()))
    lines = [f"    {name}: {value!r}" for name, value in options.items()]
    file = path / f"hook{len(list(path.glob('hook*')))}.yml"
    file.write_text("\n".join([f"- name: Hook\n  {module}:", *lines, ""]), encoding="utf-8")
    return str(file)


def hook_messages(played: Played) -> list[t.Any]:
    """Return the messages of the hooks, in their order."""
    return [result["msg"] for name, _host, result in played.tasks if name.endswith(" : Hook")]
