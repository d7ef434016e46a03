# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send real requests from a pod of the namespace to its service reviews, and print who answered, as JSON.

With --wanted, also whether that is the wanted split: the exact test of the collection, false alarm one time in 1,000.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from lab.traffic import Load, SidecarClient
from plugins.module_utils.analysis.split import test_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--app", default="productpage", help="label app of the pod the requests start in")
    parser.add_argument("--user", default="", help="value of the header end-user")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--answered-by", default="", help="regular expression, its first group says who answered")
    parser.add_argument("--begun", type=pathlib.Path, help="file to make as soon as requests are sent")
    parser.add_argument("--until", type=pathlib.Path, help="file whose appearance ends the requests early")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="SECONDS", help="before --until ends them")
    parser.add_argument("--requests", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--wanted", type=json.loads, help='JSON, version -> percent: {"v1": 90, "v2": 10}')
    given = parser.parse_args()
    load = Load(
        requests=given.requests,
        seconds=given.seconds,
        rate=given.rate,
        user=given.user,
        headers=dict(header.split("=", 1) for header in given.header),
        version=given.answered_by,
        limit=max(120.0, (given.seconds or 0.0) + 10.0),
    )
    place = SidecarClient(given.kubeconfig, given.namespace, app=given.app)
    running = place.background(load)
    if given.begun:
        given.begun.touch()
    began = time.monotonic()
    first, last = began + given.at_least, began + (given.seconds or 0.0)
    while given.until and (now := time.monotonic()) < last and not (now >= first and given.until.exists()):
        time.sleep(0.2)
    if given.until:
        running.stop()
    measured = running.result()
    judged = test_split(measured.counts, given.wanted).as_dict() if given.wanted else None
    print(json.dumps({**dataclasses.asdict(measured), "split": judged}))


if __name__ == "__main__":
    main()
