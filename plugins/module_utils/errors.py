# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error the collection raises on purpose.

Pure: the rooms routes, rollout and analysis raise these, the doors raise these, and exactly one place
(`plugin_utils/in_process.py` for actions, `commands/entry.py` for modules) turns them into a failed task.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .findings import Finding


class CanaryError(Exception):
    """Something the user can act on.

    msg: one paragraph: what was attempted, on which object, what the server answered, what to do.
    details: JSON-serialisable facts, returned beside `msg` by the failed task.
    """

    code = "error"

    def __init__(self, msg: str, **details: t.Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.details = details

    def as_result(self) -> dict[str, t.Any]:
        """Return the keys of the failed task: `msg`, `error_code` and the details."""
        return {"msg": self.msg, "error_code": self.code, **self.details}


class InvalidInput(CanaryError):
    """An option has a value that can never work. The message names the option and the way out."""

    code = "invalid_input"


class Refused(CanaryError):
    """Doing it would harm traffic or somebody else's object; nothing was written."""

    code = "refused"

    def __init__(self, msg: str, findings: Sequence[Finding] = (), **details: t.Any) -> None:
        super().__init__(msg, findings=[finding.as_dict() for finding in findings], **details)
        self.findings = tuple(findings)


class UnknownSubset(Refused):
    """A version has no subset (or, with the Gateway API, no Service) that a route could name."""

    code = "unknown_subset"


class ForeignDestination(Refused):
    """Destinations of other hosts share the route in a way that cannot be kept exactly."""

    code = "foreign_destination"


class Drifted(Refused):
    """Somebody else has edited the weights since they were last looked at."""

    code = "drift"


class Conflict(CanaryError):
    """Somebody else wrote the object, again, after it was read and planned a second time."""

    code = "conflict"


class NotConverged(CanaryError):
    """The object is written, but not every proxy concerned holds the new routes at the deadline."""

    code = "not_converged"


class RolloutFailed(CanaryError):
    """The pods of a new template did not become ready in time; what was written is taken back."""

    code = "rollout_failed"


class NotReady(CanaryError):
    """The pods asked for are not ready at the deadline, or cannot become so; they stay asked for."""

    code = "not_ready"


class ApiError(CanaryError):
    """The API server (or what it proxies to) refused or could not be reached. details: status, reason."""

    code = "api_error"

    def __init__(self, msg: str, status: int | None = None, **details: t.Any) -> None:
        super().__init__(msg, status=status, **details)
        self.status = status


class MetricsError(CanaryError):
    """Prometheus gave no answer to a question. Never evidence of anything: the verdict is `inconclusive`.

    details: status (HTTP, or None) and reason: `unreachable`, `refused`, `not_prometheus`, `query` or `unexpected`; or
    what it had before has gone (`gone`), or nothing new comes (`stale`).
    """

    code = "metrics_error"
