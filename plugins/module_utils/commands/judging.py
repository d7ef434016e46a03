# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a canary is judged by, checked without asking anybody: for an analysis, and for a rollout that is opened."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..errors import InvalidInput
from ..prometheus import Prometheus
from ..rollout.plan import LONGEST_WAIT
from . import asked, numbers

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..analysis.looks import Question
    from ..rollout.plan import Rollout
    from .argspec import Options

OPTIONS: t.Final[Options] = {
    "source": {"type": "str", "default": "auto", "choices": ["auto", "proxies", "prometheus"]},
    "metrics": {"type": "list", "elements": "dict", "options": asked.OPTIONS},
    "warm_up": {"type": "float", "default": 0.0},
    "interval": {"type": "float"},
}
RULES: t.Final[dict[str, t.Any]] = {"required_if": [("source", "prometheus", ["prometheus_url"])]}
_BOUNDS: t.Final = {"warm_up": 0.0, "interval": 0.1}


def within(params: Mapping[str, t.Any], least: Mapping[str, float]) -> None:
    """Raise InvalidInput for an option of seconds that is below its least, or above what is waited for at all."""
    for option, bound in least.items():
        value = params[option]
        if value is not None and not bound <= value <= LONGEST_WAIT:
            raise InvalidInput(f"{option} must be between {bound:g} and {LONGEST_WAIT:g}, not {value:g}.")


def server_of(params: Mapping[str, t.Any]) -> Prometheus | None:
    """Return the Prometheus that is to be asked; None where the proxies are. Raises InvalidInput for its address."""
    server = None if params["source"] == "proxies" else Prometheus.of_task(params)
    if server is None and params["route_api"] == "replicas":
        raise InvalidInput(
            f"source: a canary by pods has no proxies that count the requests of {params['service']}. Give "
            "prometheus_url, and metrics of kind value with a query of your own in which $version is the Deployment's "
            "name; or leave the analysis out and check the canary by tasks (rollout_after_step of the role rollout)."
        )
    return server


def check(params: Mapping[str, t.Any]) -> tuple[Question, ...]:
    """Return the metrics to judge. params: of canary_analysis. Raises InvalidInput for what could never be judged."""
    within(params, _BOUNDS)
    questions = asked.questions(params["metrics"])
    numbers.check(params["metrics"], "proxies" if server_of(params) is None else "prometheus")
    return questions


def check_plan(rollout: Rollout, params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput if steps that are to be judged could not be.

    params: of canary_rollout; its judged_by are options of canary_analysis, of which empty ones were not given.
    """
    judged = [(index, step) for index, step in enumerate(rollout.steps) if step.analysis]
    if params["judged_by"] is None or not judged:
        return
    given = {name: value for name, value in params["judged_by"].items() if value not in (None, "", [], {})}
    options = {**OPTIONS, "prometheus_url": {"type": "str"}}
    checked = ArgumentSpecValidator(options, **RULES).validate(given)
    if checked.error_messages:
        raise InvalidInput(f"judged_by: {'; '.join(checked.error_messages)}. See canary_analysis.")
    asks = checked.validated_parameters
    check({**asks, "route_api": params["route_api"], "service": params["service"]})
    for index, step in judged:
        if step.pause + asks["warm_up"] >= step.deadline:
            raise InvalidInput(
                f"steps[{index}] is judged for {step.pause:g} s after a warm_up of {asks['warm_up']:g} s, and ends at "
                f"{step.deadline:g} s; make deadline larger, or pause or warm_up smaller."
            )
