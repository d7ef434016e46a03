# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults for tests: errors, delays and CPU time."""

from __future__ import annotations

import time

import pytest


def test_request_header_overrides_the_environment(start) -> None:
    failing = start("details", FAULT_ERROR_RATE="1")
    assert failing.get("/details/0").status == 500
    assert failing.get("/details/0", x_fault_error_rate="0").status == 200
    assert failing.get("/health").status == 200


def test_error_rate_is_the_share_of_failed_requests(start) -> None:
    statuses = [start("details", FAULT_ERROR_RATE="0.5")] * 200
    failed = sum(service.get("/details/0").status == 500 for service in statuses)
    assert 50 < failed < 150


def test_delay_and_cpu_time_last_as_long_as_configured(start) -> None:
    details = start("details")
    for header in ("x-fault-delay-ms", "x-fault-cpu-ms"):
        began = time.monotonic()
        assert details.get("/details/0", **{header: "120"}).status == 200
        assert time.monotonic() - began >= 0.12


@pytest.mark.parametrize("header", ["x-fault-delay-ms", "x-fault-error-rate", "x-fault-cpu-ms"])
@pytest.mark.parametrize("value", ["much", "-1", "nan", "1e9"])
def test_invalid_fault_is_rejected_with_its_header(start, header: str, value: str) -> None:
    answer = start("details").get("/details/0", **{header: value})
    assert answer.status == 400
    assert header in answer.json()["error"]


@pytest.mark.parametrize(
    ("rate", "status"), [("v2=1", 500), ("v1=0, v2=1", 500), ("v1=1", 200), ("v1=1,v2=0", 200), ("v2=much", 400)]
)
def test_a_header_can_limit_its_fault_to_one_version(start, rate: str, status: int) -> None:
    details = start("details", SERVICE_VERSION="v2")
    assert details.get("/details/0", x_fault_error_rate=rate).status == status
