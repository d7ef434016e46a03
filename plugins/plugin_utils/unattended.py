# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a job runner runs the playbook: its pseudo-terminal is a log, with nobody before it."""

from __future__ import annotations

import os
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

RUNNERS: t.Final[dict[str, str]] = {
    "AWX_ISOLATED_DATA_DIR": "ansible-runner, AWX and the automation controller",
    "RUNNER_OMIT_EVENTS": "ansible-runner",
    "CI": "GitLab, GitHub and most others",
    "JENKINS_URL": "Jenkins",
    "TEAMCITY_VERSION": "TeamCity",
    "TF_BUILD": "Azure Pipelines",
}
"""Variable of the environment -> the runner that sets it."""
_FALSE: t.Final = frozenset({"", "0", "false", "no"})


def is_unattended(env: Mapping[str, str] | None = None) -> bool:
    """Return whether a job runner has set one of its variables."""
    known = os.environ if env is None else env
    # ansible-runner sets RUNNER_OMIT_EVENTS to False, so that it is set says it.
    return any(
        name in known if name.startswith("RUNNER_") else known.get(name, "").lower() not in _FALSE for name in RUNNERS
    )
