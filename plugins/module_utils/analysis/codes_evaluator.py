# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluator of response codes: does the canary answer anything more often than stable? Pure.

A canary that answers 404, 401, 302 or 429 to everything fails no request in the sense of `errors`. So each group of
codes (see `response_codes`) is compared among the answers that are no errors.

An answer of 2xx that is more frequent than stable's is a redirect or a refusal that is gone. That may be what the
release is for, or a login that is not required any more, so it is never a failure, but it holds the canary.
"""

from __future__ import annotations

import typing as t

from . import response_codes
from .groups_evaluator import Answers, GroupsEvaluator
from .response_codes import GRPC_CLASS, SUCCESS, count_groups, groups_of
from .traffic import GRPC

if t.TYPE_CHECKING:
    from .error_rates import RequestCount
    from .intervals import Interval


class CodesEvaluator(GroupsEvaluator):
    """The codes of both versions' answers, the canary compared with stable."""

    noun = "codes"

    def _sorted(self, interval: Interval) -> tuple[Answers, Answers]:
        canary, stable = interval.codes
        return self._compared_answers(interval.canary, canary), self._compared_answers(interval.stable, stable)

    def _compared_answers(self, count: RequestCount, codes: t.Mapping[str, int]) -> Answers:
        """Return the number of answers that are compared, and group -> answers.

        Errors are left out, and what is ignored; but answers of 2xx are what all others are a share of, ignored or not.
        """
        ignored = {code: n for code, n in codes.items() if SUCCESS not in groups_of(code) and self._ignores(code)}
        compared = {code: number for code, number in codes.items() if code not in ignored}
        return max(0, count.requests - count.errors - sum(ignored.values())), count_groups(compared)

    def _ignores(self, code: str) -> bool:
        return not self._spec.ignored.isdisjoint(groups_of(code))

    def _share_of_alpha(self, group: str) -> float:
        return response_codes.share_of_alpha(group)

    @staticmethod
    def _class_of(group: str) -> str:
        return response_codes.class_of(group)

    @staticmethod
    def _shown(group: str) -> str:
        return "gRPC errors" if group == GRPC_CLASS else group.replace(GRPC, "gRPC status ")

    def _never_fails(self, group: str) -> bool:
        return self._class_of(group) == SUCCESS

    def _hint(self, named: t.Sequence[str]) -> str:
        hint = f"If the release is meant to do that, set ignore: [{', '.join(named)}] on a metric of kind codes"
        return f"A redirect, refusal or limit of stable's is gone. {hint}" if SUCCESS in named else hint
