# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the demo concludes from numbers, and what it tells about them."""

from __future__ import annotations

import html.parser
import io
import random
import re
import xml.etree.ElementTree

import pytest

from lab.demo.charts import rolling_shares, timeline
from lab.demo.player import Play, messages
from lab.demo.report import page
from lab.demo.result import EVERYBODY, Reading, Stage
from lab.demo.stages import steps
from lab.demo.terminal import Terminal
from lab.demo.watch import weights_of
from tests.unit.lab.sample_story import seen, story

DICE = random.Random(3)
HALF = {"v1": 50, "v2": 50}
OWN_IMAGE = {"bookinfo_image": "localhost/bookinfo:1"}


def stage_of(*readings: Reading, lost: int = 0) -> Stage:
    stage = Stage("50/50", "Half each.", readings=list(readings), lost=lost)
    stage.judge()
    return stage


def test_a_stage_passes_on_the_counts_of_all_places_together() -> None:
    stage = stage_of(
        Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 2500)),
        Reading("gateway", EVERYBODY, HALF, seen(DICE, HALF, 400)),
    )
    assert stage.passed, stage.troubles
    assert stage.requests == sum(stage.counts.values()) == 2900
    assert stage.failed == 0
    assert stage.p_value is not None
    assert stage.p_value >= 0.001


@pytest.mark.parametrize(
    ("stage", "trouble"),
    [
        (stage_of(), "nothing was measured"),
        (stage_of(Reading("sidecar", EVERYBODY, HALF, seen(DICE, {"v1": 60, "v2": 40}, 2500))), "50.00% is intended"),
        (stage_of(Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 20))), "too few"),
        (stage_of(Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 0))), "no requests were seen"),
        (stage_of(Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 2500, failed=1))), "1 requests failed"),
        (stage_of(Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 2500)), lost=2), "2 requests of the load"),
        (
            stage_of(
                Reading("sidecar", EVERYBODY, {"v1": 90, "v2": 10}, seen(DICE, {"v1": 90, "v2": 10}, 2500)),
                Reading("gateway", EVERYBODY, {"v1": 90, "v2": 10}, seen(DICE, {"v1": 100}, 400)),
            ),
            "from the gateway",
        ),
        (
            stage_of(
                Reading("sidecar", EVERYBODY, HALF, seen(DICE, HALF, 2500)),
                Reading("sidecar", "testuser", {"v3": 100}, seen(DICE, HALF, 2500)),
            ),
            "testuser: v1 answered",
        ),
    ],
    ids=["empty", "wrong", "few", "none", "failed", "lost", "one-place", "other-cohort"],
)
def test_a_stage_fails_and_says_why(stage: Stage, trouble: str) -> None:
    assert not stage.passed
    assert trouble in " ".join(stage.troubles)


def test_the_numbers_have_the_shape_that_is_promised() -> None:
    told = story().as_dict()
    assert set(told) == {"cluster", "stages", "seconds"}
    assert [stage["name"] for stage in told["stages"]] == [step.name for step in steps("bookinfo", OWN_IMAGE)]
    assert told["stages"][5]["wanted"] == HALF
    for stage in told["stages"]:
        assert {"name", "wanted", "requests", "counts", "failed", "p_value"} <= set(stage)
        assert stage["failed"] == 0
        assert stage["requests"] == sum(stage["counts"].values())


def test_a_failed_request_is_in_the_numbers_the_report_and_the_terminal() -> None:
    told = story(failed=3)
    assert [stage["failed"] for stage in told.as_dict()["stages"]] == [3 if number == 5 else 0 for number in range(14)]
    assert not told.passed
    report, printed = page(told), io.StringIO()
    Terminal(14, printed).summary(told)
    assert "Not every stage passed" in report
    assert "3 requests failed, most of them: status 503" in report
    assert "13 of 14 stages passed" in printed.getvalue()
    assert "FAILED" in printed.getvalue()


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "srcset")]
        self.found += [tag] if tag in ("script", "link", "img", "iframe") else []


def test_the_report_needs_nothing_from_elsewhere() -> None:
    report = page(story())
    links = Links()
    links.feed(report)
    assert links.found == []
    assert not re.search(r"https?://|url\(|@import", report)


def test_names_in_the_report_cannot_be_markup() -> None:
    told = story()
    told.stages[0].troubles.append("<script>alert(1)</script>")
    assert "<script>" not in page(told)


def test_the_drawing_is_well_formed_and_shows_every_version_and_stage() -> None:
    drawing = xml.etree.ElementTree.fromstring(timeline(story()))
    classes = [element.get("class", "") for element in drawing.iter()]
    assert {"band v1", "band v2", "band v3", "line v1", "line v2", "line v3", "measured"} <= set(classes)
    assert classes.count("mark") == 12, "stages without a mesh are no part of the drawing"
    assert [element.text for element in drawing.iter() if element.text in ("1", "2", "3", "14")] == ["3", "14"]
    assert "lost" not in classes
    lost = xml.etree.ElementTree.fromstring(timeline(story(failed=1)))
    assert "lost" in [element.get("class") for element in lost.iter()]


def test_a_stage_without_a_mesh_is_in_the_table() -> None:
    report = page(story())
    assert "canary by pods" in report
    assert "on new connections" in report
    assert "canary 25, stable 75" in report


def test_measured_shares_leave_out_failures_and_empty_seconds() -> None:
    entries = [{"at": 10, "counts": {"v1": 3, "v2": 1, "failed": 4}}, {"at": 20, "counts": {"failed": 2}}]
    assert rolling_shares(entries) == [(10.5, {"v1": 0.75, "v2": 0.25})]


def test_a_drawing_of_two_readings_of_one_second_counts_both() -> None:
    entries = [{"at": 10, "counts": {"v1": 3}}, {"at": 10, "counts": {"v2": 1}}]
    assert rolling_shares(entries) == [(10.5, {"v1": 0.75, "v2": 0.25})]


def destination(subset: str, weight: int | None = None) -> dict[str, object]:
    return {"destination": {"host": "reviews", "subset": subset}, **({"weight": weight} if weight is not None else {})}


def test_weights_are_read_as_a_proxy_would() -> None:
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


def test_commands_are_shown_as_a_user_types_them() -> None:
    play = Play("meshops.canary.shift", {"service": "reviews", "weights": {"v1": 90, "v2": 10}}, {"secret": 1})
    assert play.command == (
        """ansible-playbook meshops.canary.shift -e service=reviews -e '{"weights": {"v1": 90, "v2": 10}}'"""
    )


def test_messages_are_found_in_what_ansible_prints() -> None:
    output = (
        "TASK [Say what happened] ****\n"
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
