# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a rollout, read back by a parser that takes nothing the format does not allow."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter.rollout_metrics import rollout_metrics
from ansible_collections.meshops.canary.plugins.module_utils.rollout import record, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.state_machine import PHASES
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import report as run_result
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import Stored

NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z
Series = dict[tuple[tuple[str, str], ...], float]

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (\S+)")


def parse(text: str) -> dict[str, Series]:
    """Return metric -> series by labels. Source: Prometheus, Exposition formats, text format 0.0.4."""
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    families: dict[str, Series] = {}
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _hash, _help, name, explained = line.split(" ", 3)
            assert name not in helped, f"{name} is explained twice"
            assert explained.strip()
            helped.add(name)
        elif line.startswith("# TYPE "):
            _hash, _type, name, kind = line.split(" ")
            assert name not in kinds, f"{name} has two types"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped")
            kinds[name], current = kind, name
            families[name] = {}
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"no sample: {line!r}"
            assert found[1] == current, f"{found[1]} stands among {current}"
            labels = tuple(
                (one[1], _plain(one[2])) for one in re.finditer(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or "")
            )
            assert len({name for name, _value in labels}) == len(labels)
            assert labels not in families[current], f"{line!r} is there twice"
            families[current][labels] = float(found[3])
    assert set(kinds) == helped
    assert all(families.values()), "a family without samples"
    assert all(name.endswith("_total") for name, kind in kinds.items() if kind == "counter")
    return families


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def of(families: dict[str, Series], name: str, label: str = "") -> dict[str, float]:
    """Return the values of a metric by one label."""
    return {dict(labels).get(label, ""): value for labels, value in families[f"canary_rollout_{name}"].items()}


def report(*events: tuple[str, dict[str, t.Any] | None], service: str = "reviews") -> dict[str, t.Any]:
    """Return the report of v1 -> v2 by 10 and 100 percent after `events`, ten seconds each."""
    rollout = Rollout(service, "shop", "v1", "v2", (Step(10.0), Step(100.0)))
    safe = transitions.safe_weights(rollout)
    stored = Stored(rollout, record.Run("ab12", service, "shop", "0" * 12, "preparing", 0, 0.0, safe, safe))
    stored.add({"event": "opened", "from": "", "to": "preparing", "step": 0, "at": "2026-11-22T12:00:00Z", "by": "me"})
    for number, (event, verdict) in enumerate(events, 1):
        stored.run, entries = transitions.advance(
            rollout, stored.run, t.cast(t.Any, event), number * 10.0, verdict=verdict
        )
        for entry in entries:
            stored.add({**entry, "at": f"2026-11-22T12:0{number // 6}:{number % 6}0Z", "by": "me"})
    return run_result.report(stored)


def judged(outcome: str, failed_requests: int) -> dict[str, t.Any]:
    metric = {"metric": "errors", "verdict": outcome, "critical": True, "strength": 900.0}
    return {"verdict": outcome, "reasons": [outcome], "metrics": [metric], "failed_requests": failed_requests}


def test_a_rollout_under_way() -> None:
    seen = parse(
        rollout_metrics(report(("ready", None), ("shifted", None), ("inconclusive", judged("inconclusive", 2))))
    )
    assert of(seen, "phase", "phase") == {phase: float(phase == "observing") for phase in PHASES}
    assert of(seen, "weight_percent", "destination_version") == {"v1": 90.0, "v2": 10.0}
    assert of(seen, "verdicts_total", "verdict") == {"pass": 0, "fail": 0, "inconclusive": 1}
    assert of(seen, "failed_requests") == {"": 2}
    assert (of(seen, "step"), of(seen, "steps")) == ({"": 1}, {"": 2})
    assert of(seen, "start_time_seconds") == {"": NOON}
    assert of(seen, "last_event_time_seconds") == {"": NOON + 30}
    assert "canary_rollout_end_time_seconds" not in seen
    ((labels, value),) = seen["canary_rollout_info"].items()
    assert value == 1
    assert dict(labels) == {
        "destination_service_name": "reviews", "destination_service_namespace": "shop",
        "run": "ab12", "stable": "v1", "canary": "v2",
    }  # fmt: skip


def test_one_that_was_rolled_back() -> None:
    events = (("ready", None), ("shifted", None), ("fail", judged("fail", 11)), ("done", None))
    seen = parse(rollout_metrics(report(*events)))
    assert of(seen, "phase", "phase")["rolled_back"] == 1
    assert of(seen, "weight_percent", "destination_version") == {"v1": 100.0, "v2": 0.0}
    assert of(seen, "verdicts_total", "verdict")["fail"] == 1
    assert of(seen, "failed_requests") == {"": 11}
    assert of(seen, "end_time_seconds") == {"": NOON + 40}


def test_the_second_step_and_looks_that_decided_nothing_are_counted() -> None:
    good, unsure = ("pass", judged("pass", 0)), ("inconclusive", judged("inconclusive", 0))
    up = (("ready", None), ("shifted", None))
    seen = parse(rollout_metrics(report(*up, good, *up, unsure, unsure, unsure)))
    assert of(seen, "step") == {"": 2}
    assert of(seen, "verdicts_total", "verdict") == {"pass": 1, "fail": 0, "inconclusive": 3}
    assert of(seen, "weight_percent", "destination_version") == {"v1": 0.0, "v2": 100.0}


def test_a_name_with_marks_of_the_format_stays_itself() -> None:
    name = 'a"b\\c\nd'
    (labels,) = parse(rollout_metrics(report(service=name)))["canary_rollout_failed_requests"]
    assert dict(labels)["destination_service_name"] == name


@pytest.mark.parametrize(("given", "says"), [("text", "it is str"), ({"service": "a"}, "it lacks namespace, stable")])
def test_what_is_no_report_is_refused(given: t.Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says):
        rollout_metrics(given)
