# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdicts of the demo on its measurements, and how the report and the terminal show them."""

from __future__ import annotations

import ast
import graphlib
import html.parser
import io
import os
import random
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

import pytest

from lab.demo import slowdown
from lab.demo.charts import rolling_shares, timeline
from lab.demo.playbooks import ROOT, Playbook, messages
from lab.demo.report import page
from lab.demo.results import EVERYBODY, MAX_SLOWDOWN, DemoResult, ShareCheck, StageResult
from lab.demo.slowdown import SlowdownProbe
from lab.demo.stages import all_stages
from lab.demo.terminal import Terminal
from lab.demo.watcher import weights_of
from tests.unit.lab.sample_demo import measurement, sample_demo

GENERATOR = random.Random(3)
HALF = {"v1": 50, "v2": 50}
OWN_IMAGE = {"bookinfo_image": "localhost/bookinfo:1"}


def stage_of(*checks: ShareCheck, background_failed: int = 0) -> StageResult:
    stage = StageResult("50/50", "Half each.", checks=list(checks), background_failed=background_failed)
    stage.judge()
    return stage


def test_a_stage_passes_on_the_counts_of_all_places_together() -> None:
    stage = stage_of(
        ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 2500)),
        ShareCheck("gateway", EVERYBODY, HALF, measurement(GENERATOR, HALF, 400)),
    )
    assert stage.passed, stage.problems
    assert stage.requests == sum(stage.counts.values()) == 2900
    assert stage.failed == 0
    assert stage.p_value is not None
    assert stage.p_value >= 0.001


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        (stage_of(), "nothing was measured"),
        (
            stage_of(ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, {"v1": 60, "v2": 40}, 2500))),
            "50.00% is intended",
        ),
        (stage_of(ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 20))), "too few"),
        (stage_of(ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 0))), "no requests were counted"),
        (
            stage_of(ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 2500, failed=1))),
            "1 requests failed",
        ),
        (
            stage_of(ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 2500)), background_failed=2),
            "2 requests of the background load failed",
        ),
        (
            stage_of(
                ShareCheck(
                    "sidecar", EVERYBODY, {"v1": 90, "v2": 10}, measurement(GENERATOR, {"v1": 90, "v2": 10}, 2500)
                ),
                ShareCheck("gateway", EVERYBODY, {"v1": 90, "v2": 10}, measurement(GENERATOR, {"v1": 100}, 400)),
            ),
            "from the gateway",
        ),
        (
            stage_of(
                ShareCheck("sidecar", EVERYBODY, HALF, measurement(GENERATOR, HALF, 2500)),
                ShareCheck("sidecar", "testuser", {"v3": 100}, measurement(GENERATOR, HALF, 2500)),
            ),
            "testuser: v1 answered",
        ),
    ],
    ids=["empty", "wrong", "few", "none", "failed", "background", "one-place", "other-cohort"],
)
def test_a_stage_that_fails_names_the_problem(stage: StageResult, problem: str) -> None:
    assert not stage.passed
    assert problem in " ".join(stage.problems)


def test_demo_json_has_the_documented_keys() -> None:
    numbers = sample_demo().as_dict()
    assert set(numbers) == {"cluster", "stages", "seconds"}
    assert [stage["name"] for stage in numbers["stages"]] == [spec.name for spec in all_stages("bookinfo", OWN_IMAGE)]
    assert numbers["stages"][5]["wanted"] == HALF
    for stage in numbers["stages"]:
        assert {"name", "wanted", "requests", "counts", "failed", "p_value"} <= set(stage)
        assert stage["failed"] == 0
        assert stage["requests"] == sum(stage["counts"].values())


def test_a_failed_request_is_in_the_numbers_the_report_and_the_terminal() -> None:
    demo = sample_demo(failed=3)
    assert [stage["failed"] for stage in demo.as_dict()["stages"]] == [3 if number == 5 else 0 for number in range(14)]
    assert not demo.passed
    demo.stages[5].slowdown = 4.2
    report, printed = page(demo), io.StringIO()
    Terminal(14, printed).summary(demo)
    assert "Not every stage passed" in report
    assert "3 requests failed, most of them: status 503" in report
    assert demo.slowdown_text in report
    assert "13 of 14 stages passed" in printed.getvalue()
    assert "FAILED" in printed.getvalue()


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "srcset")]
        self.found += [tag] if tag in ("script", "link", "img", "iframe") else []


TOO_BUSY = (
    "work took more than 3 times as long as on idle processors. Times and latencies of these stages do not count:"
)


@pytest.mark.parametrize(
    ("slowdowns", "failed", "text"),
    [
        ((None, None, None), 0, "How busy the machine was is not known."),
        (
            (1.24, MAX_SLOWDOWN, None),
            3,
            "The machine was not too busy: work took at most 3.0 times as long as on idle processors (limit 3).",
        ),
        ((1.24, 3.04, 13.0), 0, f"The machine was too busy in 2 of 3 stages: {TOO_BUSY} 50/50 (3.0), status (13.0)."),
        (
            (1.24, 4.2, None),
            3,
            f"The machine was too busy in 1 of 3 stages: {TOO_BUSY} 50/50 (4.2). "
            "That may be why requests failed (50/50): run the demo again.",
        ),
    ],
    ids=["unknown", "idle", "busy", "busy-and-failed"],
)
def test_the_summary_names_the_stages_in_which_the_machine_was_too_busy(
    slowdowns: tuple[float | None, ...], failed: int, text: str
) -> None:
    """failed: requests in the second stage."""
    names = ("90/10", "50/50", "status")
    stages = [StageResult(name, "", slowdown=one) for name, one in zip(names, slowdowns, strict=True)]
    stages[1].background_failed = failed
    demo, printed = DemoResult("kind", 0.0, stages=stages), io.StringIO()
    Terminal(3, printed).summary(demo)
    assert printed.getvalue().splitlines()[-1] == text
    assert [stage["busy"] for stage in demo.as_dict()["stages"]] == [(one or 0) > MAX_SLOWDOWN for one in slowdowns]


def test_work_beside_other_work_is_slower_than_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one processor, which two equal processes share: each takes about twice as long as alone, or longer."""
    monkeypatch.setattr(slowdown, "PERIOD", 0.05)
    processor = next(iter(os.sched_getaffinity(0)))
    began, other = time.time(), subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(other.pid, {processor})
        probe = SlowdownProbe()
        thread = threading.Thread(target=lambda: (os.sched_setaffinity(0, {processor}), probe.__enter__()))
        thread.start()
        thread.join()
        time.sleep(0.5)
        probe.__exit__()
    finally:
        other.kill()
        other.wait()
    assert (probe.since(began) or 0) > 1.3
    assert probe.since(time.time()) is None


def test_modules_of_the_demo_do_not_import_each_other_in_circles() -> None:
    """Also not for their types alone."""
    imports = {}
    for path in (ROOT / "lab" / "demo").glob("*.py"):
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
        ]
        imports[path.stem] = {node.module or name.name for node in nodes if node.level == 1 for name in node.names}
    assert "stages" in imports["plain_kubernetes"]
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) == len(imports)


def test_the_report_refers_to_no_other_file() -> None:
    report = page(sample_demo())
    links = Links()
    links.feed(report)
    assert links.found == []
    assert not re.search(r"https?://|url\(|@import", report)


def test_the_report_escapes_markup() -> None:
    demo = sample_demo()
    demo.stages[0].problems.append("<script>alert(1)</script>")
    assert "<script>" not in page(demo)


def test_the_chart_is_well_formed_and_shows_every_version_and_stage() -> None:
    chart = xml.etree.ElementTree.fromstring(timeline(sample_demo()))
    classes = [element.get("class", "") for element in chart.iter()]
    assert {"band v1", "band v2", "band v3", "line v1", "line v2", "line v3", "measured"} <= set(classes)
    assert classes.count("mark") == 12, "stages without a mesh are not in the chart"
    assert [element.text for element in chart.iter() if element.text in ("1", "2", "3", "14")] == ["3", "14"]
    assert "failed" not in classes
    failed = xml.etree.ElementTree.fromstring(timeline(sample_demo(failed=1)))
    assert "failed" in [element.get("class") for element in failed.iter()]


def test_a_stage_without_a_mesh_is_in_the_table() -> None:
    report = page(sample_demo())
    assert "canary by pods" in report
    assert "on new connections" in report
    assert "canary 25, stable 75" in report


def test_measured_shares_ignore_failures_and_empty_seconds() -> None:
    entries = [{"at": 10, "counts": {"v1": 3, "v2": 1, "failed": 4}}, {"at": 20, "counts": {"failed": 2}}]
    assert rolling_shares(entries) == [(10.5, {"v1": 0.75, "v2": 0.25})]


def test_the_shares_of_a_second_count_all_its_entries() -> None:
    entries = [{"at": 10, "counts": {"v1": 3}}, {"at": 10, "counts": {"v2": 1}}]
    assert rolling_shares(entries) == [(10.5, {"v1": 0.75, "v2": 0.25})]


def destination(subset: str, weight: int | None = None) -> dict[str, object]:
    return {"destination": {"host": "reviews", "subset": subset}, **({"weight": weight} if weight is not None else {})}


def test_weights_are_those_of_the_first_route_that_matches() -> None:
    match = [{"headers": {"end-user": {"exact": "testuser"}}}]
    http: list[dict[str, object]] = [
        {"match": match, "route": [destination("v2", 10), destination("v3", 90)]},
        {"route": [destination("v1")]},
    ]
    assert weights_of({"spec": {"http": http}}, "testuser") == {"v2": 10, "v3": 90}
    assert weights_of({"spec": {"http": http}}, "jason") == {"v1": 100}
    assert weights_of({"spec": {"http": http}}, None) == {"v1": 100}
    assert weights_of({"spec": {"http": http[:1]}}, None) == {}
    http[1]["match"] = [{"port": 9080}]
    assert weights_of({"spec": {"http": http}}, None) == {"v1": 100}


def test_a_command_is_shown_as_a_user_types_it() -> None:
    playbook = Playbook("meshops.canary.shift", {"service": "reviews", "weights": {"v1": 90, "v2": 10}}, {"secret": 1})
    assert playbook.command == (
        """ansible-playbook meshops.canary.shift -e service=reviews -e '{"weights": {"v1": 90, "v2": 10}}'"""
    )


def test_messages_are_found_in_the_output_of_ansible() -> None:
    output = (
        "TASK [Display the result] ****\n"
        "ok: [localhost] => \n"
        "    msg: 'reviews: v1 90% -> 75%'\n\n"
        "TASK [Say more] ****\n"
        "ok: [localhost] => \n"
        "    msg:\n"
        "    - first line, which is so long that Ansible has\n"
        "        folded it\n"
        "    - 'a    table'\n\n"
        "TASK [Say it at length] ****\n"
        "ok: [localhost] => \n"
        "    msg: >-\n"
        "        a long\n"
        "        sentence\n\n"
        "PLAY RECAP\n"
        "localhost                  : ok=4    changed=1    unreachable=0\n"
    )
    assert messages(output) == [
        "reviews: v1 90% -> 75%",
        "first line, which is so long that Ansible has folded it",
        "a    table",
        "a long sentence",
    ]
