# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line about what a task of a rollout returned, for whoever watches the playbook."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ..module_utils.routes.weights import shares_in_words

Told = Mapping[str, t.Any]

BAR: t.Final = 20
LONGEST_REASON: t.Final = 160


def line(action: str, result: Told) -> str:
    """Return what a task says about a rollout, empty where that is nothing new to anybody.

    action: the task's module, with or without the collection's name. result: as the task returned it.
    """
    return _joined(*parts(action, result))


def parts(action: str, result: Told) -> tuple[str, str]:
    """Return the line in two: what it is about, and what is said of that. Both are empty where nothing is."""
    tellers = {"canary_rollout": _rollout, "canary_analysis": _analysis, "canary_weight": _weight}
    name = action.rpartition(".")[2]
    if name not in tellers or action not in (name, f"meshops.canary.{name}"):
        return "", ""
    if result.get("failed") and "verdict" not in result:
        return f"{name} failed", _short(result.get("msg"))
    return tellers[name](result)


def _rollout(result: Told) -> tuple[str, str]:
    run: Told | None = result.get("run")
    if not run or result.get("state") == "present":
        return "", ""
    weights: Told = run["weights_wanted"] or {}
    share = float(weights.get(run["canary"], run["weight"]))
    left = run.get("seconds_left")
    about = _joined(
        f"{run['service']} {run['stable']} -> {run['canary']}",
        f"step {run['at'] + 1}/{len(result['steps'])}",
        f"{_bar(share)} {share:g}%{' and a cohort' if run.get('cohort_wanted') else ''}",
    )
    return about, _joined(
        str(run["phase"]).replace("_", " "),
        shares_in_words(run["weights_wanted"] or {}),
        "" if left is None else f"{left:.0f} s left",
        _short(run.get("reason")),
    )


def _analysis(result: Told) -> tuple[str, str]:
    if "verdict" not in result:
        return "", ""
    numbers: Told = result.get("numbers") or {}
    outcome = result["verdict"] if result["verdict"] == "fail" else result.get("answer") or result["verdict"]
    sides = [f"{result[side]} {_failed(numbers.get(side) or {})}" for side in ("canary", "stable")]
    return f"{result['service']} {result['canary']}", _joined(
        f"{outcome} after {result['seconds']:.0f} s",
        *sides,
        _short("; ".join(map(str, result.get("reasons") or ()))),
    )


def _weight(result: Told) -> tuple[str, str]:
    if "weights" not in result:
        return "", ""
    proof: Told = result.get("convergence") or {}
    held = f"{proof.get('checked')} of {proof.get('proxies')} proxies hold them after {proof.get('seconds') or 0:.1f} s"
    return str(result["service"]), _joined(
        shares_in_words(result["weights"] or {}),
        "" if result.get("changed") else "as it was",
        held if proof.get("method") == "proxies" else "",
    )


def _failed(side: Told) -> str:
    requests, errors = side.get("requests") or 0, side.get("errors") or 0
    percent = f" ({100.0 * errors / requests:.3g}%)" if requests else ""
    return f"{errors} of {requests} failed{percent}"


def _bar(share: float) -> str:
    """Return the share as a bar; one that is not nothing shows, and one that is not all is not full."""
    filled = round(share / 100.0 * BAR)
    filled = min(max(filled, 1 if share > 0 else 0), BAR if share >= 100 else BAR - 1)
    return f"[{'#' * filled}{'-' * (BAR - filled)}]"


def _short(text: t.Any) -> str:
    words = " ".join(str(text or "").split())
    return words if len(words) <= LONGEST_REASON else f"{words[: LONGEST_REASON - 3]}..."


def _joined(*parts: str) -> str:
    return " | ".join(part for part in parts if part)
