# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking in Prometheus for the requests that were answered, and at the callers' proxies for those that were not."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..analysis.sources import Increment
from ..errors import CanaryError

if t.TYPE_CHECKING:
    from .observe import ProxySource
    from .observe_prometheus import PrometheusSource

_UNSEEN: t.Final = "Requests that hang are not seen, for no proxy tells those under way"


class PrometheusAndProxies:
    """Prometheus' counts of the present, with the requests under way that only proxies know, if they may be read.

    Both are of the same time: the proxies are asked after Prometheus has answered, or not at all. Looks are closer than
    those of Prometheus alone, for only who waits longer than from one look to another is surely seen to wait.
    """

    name, interval, under_way = "prometheus", 2.0, True

    def __init__(self, counted: PrometheusSource, proxies: ProxySource) -> None:
        self._counted, self._proxies = counted, proxies
        self._begun = self._refused = False
        self.notes, self.callers = counted.notes, 0

    def begin(self, at: float | None) -> None:
        self._counted.begin(at)
        self._look_at_proxies()

    def look(self, at: float | None) -> Increment:
        came = self._counted.look(at)
        seen = self._look_at_proxies()
        if self._refused:
            return came
        if came.begins:
            seen = Increment()
        return replace(came, ended=seen.ended, flights=seen.flights)

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        return self._counted.ask(query, version, at)

    def _look_at_proxies(self) -> Increment:
        """Return what came since they were last read; nothing at first, and where they do not answer."""
        if self._refused:
            return Increment()
        try:
            if self._begun:
                return self._proxies.look(None)
            self._proxies.begin(None)
            self._begun = bool(self._proxies.read)
            self._refused = not self._begun and not self._proxies.callers
        except CanaryError as error:
            self._refused = not self._begun and error.details.get("status") == 403
            self._note(f"{_UNSEEN}: {error.msg}")
        else:
            if self._refused:
                self._note(f"{_UNSEEN}: none was found that may be asked.")
        finally:
            if not self._refused:
                self.callers = self._proxies.callers
                for note in self._proxies.notes:
                    self._note(note)
        return Increment()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
