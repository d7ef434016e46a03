# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout where no pods are and nothing is judged, as a user runs it: by the playbook."""

from __future__ import annotations

import typing as t

from .direct import ISTIO

if t.TYPE_CHECKING:
    from pathlib import Path

    from .direct import Direct
    from .kube import Kube
    from .play import Played, Player

BLIND: dict[str, t.Any] = {
    "service": "reviews", "stable": "v1", "canary": "v2", "steps": [50], "pause": 0, "deadline": 30, "analysis": False,
    "report_dir": "", "rollout_capacity": False, "rollout_retire_after": 0, "rollout_drain": 1,
    "rollout_force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}  # fmt: skip


class Role:
    """Rollouts of a service without pods. weights: what its VirtualService says."""

    def __init__(self, play: Player, kube: Kube, direct: Direct) -> None:
        self.play, self.kube, self.direct, self.space = play, kube, direct, direct.namespace

    def __call__(self, *options: str, fails: bool = False, **variables: t.Any) -> Played:
        given = {"ns": self.space, **BLIND, **variables}
        return self.play("meshops.canary.rollout", *options, fails=fails, **given)

    def weights(self) -> dict[str, int]:
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.space)
        assert found
        route = found["spec"]["http"][-1]["route"]
        return {one["destination"]["subset"]: one["weight"] for one in route if one.get("weight")}

    def told(self) -> dict[str, t.Any]:
        return dict(self.direct("rollout", state="present")["report"])


def hook(path: Path, **task: t.Any) -> str:
    """Return a file with one task, by its module's name with dots as underscores."""
    module, options = next(iter(task.items()))
    lines = [f"    {name}: {value!r}" for name, value in options.items()]
    file = path / f"hook{len(list(path.iterdir()))}.yml"
    file.write_text("\n".join([f"- name: Hook\n  {module}:", *lines, ""]), encoding="utf-8")
    return str(file)
