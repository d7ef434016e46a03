# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error the collection raises on purpose.

Every package raises these. `task/entry.py` turns them into a failed task, for modules and actions alike.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .findings import Finding


class CanaryError(Exception):
    """Something the user can act on.

    msg: one paragraph: what was attempted, on which object, what the server answered, what to do.
    details: JSON-serializable facts, returned beside `msg` by the failed task.
    maybe_written: a write was sent, and nobody knows whether it was carried out.
    """

    code = "error"
    maybe_written = False

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
    """The change would lose requests or overwrite another owner's object. Nothing was written."""

    code = "refused"

    def __init__(self, msg: str, findings: Sequence[Finding] = (), **details: t.Any) -> None:
        super().__init__(msg, findings=[finding.as_dict() for finding in findings], **details)
        self.findings = tuple(findings)


class NoRoutes(Refused):
    """No object routes the service, so there is nothing to change. advice: what to do unless an object explains it."""

    def __init__(self, msg: str, advice: str) -> None:
        super().__init__(f"{msg} {advice}")
        self.reason, self.advice = msg, advice

    def explain(self, sentences: Sequence[str]) -> None:
        """Put what was found instead in the place of the general advice."""
        if sentences:
            self.msg = f"{self.reason} {' '.join(sentences)}"
            self.args = (self.msg,)


class UnknownSubset(Refused):
    """A version has no subset (or, with the Gateway API, no Service) that a route could name."""

    code = "unknown_subset"


class ForeignDestination(Refused):
    """Destinations of other hosts share the route in a way that cannot be kept exactly."""

    code = "foreign_destination"


class Drifted(Refused):
    """The weights were changed externally since they were last read."""

    code = "drift"


class Conflict(CanaryError):
    """The object was modified while the task was planning its change, twice."""

    code = "conflict"


class NotAccepted(CanaryError):
    """The parent of an HTTPRoute does not accept what was written, so requests would be answered 500."""

    code = "not_accepted"


class NotConverged(CanaryError):
    """The object is written, but not every affected proxy has the new routes at the deadline."""

    code = "not_converged"


class RolloutFailed(CanaryError):
    """The pods of a new template did not become ready in time; what was written is rolled back."""

    code = "rollout_failed"


class NotReady(CanaryError):
    """The requested pods are not ready at the deadline, or cannot become ready. The request stays in place."""

    code = "not_ready"


class ApiError(CanaryError):
    """The API server (or what it proxies to) refused or could not be reached. details: status, reason."""

    code = "api_error"

    def __init__(self, msg: str, status: int | None = None, **details: t.Any) -> None:
        super().__init__(msg, status=status, **details)
        self.status = status


class MetricsError(CanaryError):
    """Prometheus did not answer a query. That is never evidence: the verdict is `inconclusive`.

    details: status (HTTP, or None) and reason: `unreachable`, `refused`, `not_prometheus`, `query` or `unexpected`; or
    a series it had is gone (`gone`), or there is no new sample (`stale`).
    """

    code = "metrics_error"


class NotPromoted(CanaryError):
    """The rollout has ended, or was stopped, without a promotion. details: the whole result of the task."""

    code = "not_promoted"


class Interrupted(CanaryError):
    """A signal stopped the task (Ctrl-C, SIGTERM, a closed terminal, the end of the playbook); the next run resumes."""

    code = "interrupted"
