# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action in the place of canary_release, whose results a file scripts: the order of a release without a cluster.

The folder in SCRIPT has `script.json`: host -> {steps, fails_at, code, rolled_back, fails (states), record_phase}.
Each call is a line of `calls` there.
"""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return what the script says."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        folder, host, args = Path(os.environ["SCRIPT"]), (task_vars or {})["inventory_hostname"], self._task.args
        script = json.loads((folder / "script.json").read_text(encoding="utf-8")).get(host, {})
        steps, state = folder / f"steps-{host}", args["state"]
        done = int(steps.read_text(encoding="utf-8")) if steps.exists() else 0
        with (folder / "calls").open("a", encoding="utf-8") as calls:
            calls.write(f"{host} {state} {(args.get('record_digests') or {}).get('x', '-')}\n")
        result["state"] = state
        service = {
            "service": "ratings",
            "namespace": "shop",
            "stable": "v1",
            "canary": "v2",
            "result": state,
            "msg": "",
        }
        result.update(changed=state != "checked", cluster=args["cluster"], services=[service])
        if state == "checked":
            result.update(problems=[], record_phase=script.get("record_phase", ""))
        if state == "shifted":
            steps.write_text(str(done + 1), encoding="utf-8")
            result.update(next="step" if done + 1 < script.get("steps", 2) else "", record_digests={"x": str(done + 1)})
            if script.get("fails_at") == done + 1:
                result.update(failed=True, error_code=script.get("code", "not_promoted"), msg="it failed", next="")
                result.update(rolled_back=script.get("rolled_back", True))
        if state in script.get("fails", ()):
            result.update(failed=True, error_code="api_error", status=None, msg=f"no answer from {host}", services=[])
            result.pop("problems", None)
        return result
