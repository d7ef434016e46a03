# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of a real rollout: log lines, report, metrics, dashboard, backtest."""

from __future__ import annotations

import json
import re
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import checksum
from support import browser
from support.rollout_role import role_variables
from support.rollouts import LOAD, QUICK, Stage, with_errors

if t.TYPE_CHECKING:
    from support.lab import Lab

pytestmark = pytest.mark.mesh

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
SCHEMA = ROOT / "docs" / "rollout-report.schema.json"
OUT = ROOT / "out" / "rollouts"
FAILING = 0.3
WINDOW = {"width": 1180, "height": 1900}
BLANK = 60_000  # bytes; a page of that size with a headline alone is a picture of 11,000


@pytest.fixture(scope="module")
def seen(module_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The lines and the metrics file of a rollout whose first step is not judged and whose second fails."""
    folder = tmp_path_factory.mktemp("seen")
    log, metrics = folder / "ansible.log", folder / "reviews.prom"
    module_stage.reset()
    steps = [{"weight": 5, "analysis": False, "pause": 2}, 20, 100]
    with module_stage.shop.sidecar.background(with_errors(LOAD, v3=FAILING)):
        module_stage.shop.player(
            "meshops.canary.rollout",
            fails=True,
            environment={"ANSIBLE_CALLBACKS_ENABLED": "meshops.canary.canary_line", "ANSIBLE_LOG_PATH": str(log)},
            service="reviews",
            ns=module_stage.shop.namespace,
            canary="v3",
            **role_variables({**QUICK, "steps": steps, "pause": 25, "report_dir": str(OUT), "textfile": str(metrics)}),
        )
    lines = [line.partition("| ")[2] for line in log.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)], metrics


def test_each_event_is_a_line(seen: tuple[list[str], Path]) -> None:
    texts = [line[9:] for line in seen[0]]
    print("\n".join(texts))
    wanted = [
        r"reviews v2 -> v3 \| step 1/3 \| \[#-+\] 5% \| preparing \| v2 95%, v3 5%",
        r"reviews \| v2 95%, v3 5% \| \d+ of \d+ proxies converged",
        r"reviews v2 -> v3 \| step 2/3 \| \[####-+\] 20% \| shifting",
        r"v3: \d+ of \d+ failed \([\d.]+%\) \| v2: 0 of \d+ failed \(0%\) \| \d+ s of 25 s|reviews v3 \| fail",
        r"reviews v3 \| fail after \d+ s \| v3 \d+ of \d+ failed .* statistically significant",
        r"reviews v2 -> v3 \| step 2/3 \| \[-+\] 0% \| rolling back \| v2 100%, v3 0%",
        r"reviews v2 -> v3 \| step 2/3 \| \[-+\] 0% \| rolled back",
    ]
    places = [next((place for place, line in enumerate(texts) if re.match(one, line)), None) for one in wanted]
    assert None not in places, dict(zip(wanted, places, strict=True))
    assert places == sorted(t.cast("list[int]", places))


def test_the_report_is_valid_and_not_altered(seen: tuple[list[str], Path], module_stage: Stage) -> None:
    report = json.loads((OUT / f"reviews-{module_stage.run()['id']}.json").read_text(encoding="utf-8"))
    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in schema.iter_errors(report)] == []
    assert report["phase"] == "rolled_back"
    assert checksum.tampered(report) == []
    assert checksum.tampered({**report, "failed_requests": 0, "events": report["events"][:-1]})


def test_the_html_report_is_not_blank(seen: tuple[list[str], Path], module_stage: Stage, tmp_path: Path) -> None:
    """The pictures stay in out/rollouts."""
    page = OUT / f"reviews-{module_stage.run()['id']}.html"
    for name, dark in (("light", False), ("dark", True)):
        picture = page.with_name(f"{page.stem}-{name}.png")
        browser.photograph(page, picture, tmp_path / name, dark=dark, **WINDOW)
        assert browser.size(picture) == (WINDOW["width"], WINDOW["height"])
        assert picture.stat().st_size > BLANK
    both = [page.with_name(f"{page.stem}-{name}.png").read_bytes() for name in ("light", "dark")]
    assert both[0] != both[1]


def test_the_metrics_file_has_the_outcome_and_no_other_file_is_left(seen: tuple[list[str], Path]) -> None:
    text = seen[1].read_text(encoding="utf-8")
    assert re.search(r'^canary_rollout_phase\{.*phase="rolled_back"\} 1$', text, re.MULTILINE)
    assert re.search(r'^canary_rollout_weight_percent\{.*destination_version="v2"\} 100$', text, re.MULTILINE)
    assert re.search(r'^canary_rollout_verdicts_total\{.*verdict="fail"\} 1$', text, re.MULTILINE)
    assert [path.name for path in seen[1].parent.glob("*.prom*")] == ["reviews.prom"]


def test_prometheus_has_the_series_of_the_dashboard(
    seen: tuple[list[str], Path], module_stage: Stage, lab: Lab
) -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    for expression in (target["expr"] for panel in panels for target in panel["targets"]):
        query = expression.replace("$__rate_interval", "3m").replace("$service", "reviews")
        query = urllib.parse.urlencode({"query": query.replace("$namespace", module_stage.shop.namespace)})
        with urllib.request.urlopen(f"{lab.facts['prometheus_url']}/api/v1/query?{query}", timeout=20) as answer:
            result = json.load(answer)
        assert result["status"] == "success"
        versions = {one["metric"].get("destination_version") for one in result["data"]["result"]}
        assert {"v2", "v3"} <= versions or "canary_rollout" in expression, expression


def test_a_backtest_gives_the_same_verdict(seen: tuple[list[str], Path], module_stage: Stage, lab: Lab) -> None:
    played = module_stage.shop.play("backtest", prometheus_url=lab.facts["prometheus_url"], interval=2)
    table = played.task("Display the verdicts")["msg"]
    print("\n".join(table))
    assert len(table) == 3
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +20% +fail ", table[1])
    assert table[2].startswith("1 moments: ")
    assert played.changed == 0
