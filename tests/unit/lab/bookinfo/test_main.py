# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The start of a service with settings that cannot be used."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.bookinfo import LAB, command


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "name"),
    [
        (["reviews", "0"], {"CRASH_ON_START": "true"}, 1, "CRASH_ON_START"),
        (["reviews", "0"], {"FAULT_DELAY_MS": "soon"}, 2, "FAULT_DELAY_MS"),
        (["reviews", "0"], {"START_DELAY_SECONDS": "-1"}, 2, "START_DELAY_SECONDS"),
        (["reviews", "0"], {"ENABLE_RATINGS": "perhaps"}, 2, "ENABLE_RATINGS"),
        (["reviews", "70000"], {}, 2, "PORT"),
        (["unknown"], {}, 2, "unknown"),
        ([], {"BOOKINFO_ROLE": "other"}, 2, "other"),
    ],
)
def test_failed_start_names_the_setting(arguments, environment, status: int, name: str) -> None:
    env = {"PATH": os.environ["PATH"], **environment}
    completed = subprocess.run(
        command(*arguments), cwd=LAB, env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert completed.returncode == status
    assert name in completed.stderr
    assert "Traceback" not in completed.stderr
