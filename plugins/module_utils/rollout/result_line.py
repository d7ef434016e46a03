# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of a part of a rollout as one line of output. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ..objects.weights import weights_text

Result = Mapping[str, t.Any]

_MODULES: t.Final = frozenset({"canary_rollout", "canary_analysis", "canary_weight"})
BAR_WIDTH: t.Final = 20
REASON_LENGTH: t.Final = 160


def line(action: str, result: Result) -> str:
    """Return the line about a task's result; empty if it says nothing new about a rollout.

    action: the task's module, with or without the name of the collection. result: as the task returned it.
    """
    return _joined(*parts(action, result))


def is_rollout(action: str) -> bool:
    """Return whether the task is one of the modules that have lines. action: as for `line`."""
    name = action.rpartition(".")[2]
    return name in _MODULES and action in (name, f"meshops.canary.{name}")


def remaining_lines(action: str, result: Result) -> list[str]:
    """Return the lines of a task's result that were not shown while it worked. action: as for `line`."""
    if not is_rollout(action):
        return []
    if result.get("lines_shown"):
        return []
    return list(result.get("lines") or filter(None, [line(action, result)]))


def parts(action: str, result: Result) -> tuple[str, str]:
    """Return the subject and the message of the line; both are empty if there is no line."""
    formats = {"canary_rollout": _rollout, "canary_analysis": _analysis, "canary_weight": _weight}
    if not is_rollout(action):
        return "", ""
    name = action.rpartition(".")[2]
    if result.get("failed") and "verdict" not in result:
        return f"{name} failed", _short(result.get("msg"))
    return formats[name](result)


def _rollout(result: Result) -> tuple[str, str]:
    run: Result | None = result.get("run")
    if not run or result.get("state") == "present":
        return "", ""
    weights: Result = run["desired_weights"] or {}
    share = float(weights.get(run["canary"], run["weight"]))
    left = run.get("seconds_left")
    subject = _joined(
        f"{run['service']} {run['stable']} -> {run['canary']}",
        f"step {run['at'] + 1}/{len(result['steps'])}",
        f"{_bar(share)} {share:g}%{' and a cohort' if run.get('desired_cohort') else ''}",
    )
    return subject, _joined(
        str(run["phase"]).replace("_", " "),
        weights_text(run["desired_weights"] or {}),
        "" if left is None else f"{left:.0f} s left",
        _short(run.get("reason")),
    )


def _analysis(result: Result) -> tuple[str, str]:
    if "verdict" not in result:
        return "", ""
    numbers: Result = result.get("numbers") or {}
    outcome = result["verdict"] if result["verdict"] == "fail" else result.get("answer") or result["verdict"]
    sides = [f"{result[side]} {_failed(numbers.get(side) or {})}" for side in ("canary", "stable")]
    return f"{result['service']} {result['canary']}", _joined(
        f"{outcome} after {result['seconds']:.0f} s",
        *sides,
        _short("; ".join(map(str, result.get("reasons") or ()))),
    )


def _weight(result: Result) -> tuple[str, str]:
    if "weights" not in result:
        return "", ""
    convergence: Result = result.get("convergence") or {}
    proxies = f"{convergence.get('checked')} of {convergence.get('proxies')} proxies"
    seconds = convergence.get("seconds") or 0
    return str(result["service"]), _joined(
        weights_text(result["weights"] or {}),
        "" if result.get("changed") else "unchanged",
        f"{proxies} converged after {seconds:.1f} s" if convergence.get("method") == "proxies" else "",
    )


def _failed(side: Result) -> str:
    requests, errors = side.get("requests") or 0, side.get("errors") or 0
    percent = f" ({100.0 * errors / requests:.3g}%)" if requests else ""
    return f"{errors} of {requests} failed{percent}"


def _bar(share: float) -> str:
    """Return the share as a bar; any share above 0 fills a part, and only 100 fills it completely."""
    filled = round(share / 100.0 * BAR_WIDTH)
    filled = min(max(filled, 1 if share > 0 else 0), BAR_WIDTH if share >= 100 else BAR_WIDTH - 1)
    return f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}]"


def _short(text: t.Any) -> str:
    words = " ".join(str(text or "").split())
    return words if len(words) <= REASON_LENGTH else f"{words[: REASON_LENGTH - 3]}..."


def _joined(*parts: str) -> str:
    return " | ".join(part for part in parts if part)
