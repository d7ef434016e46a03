# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notes of a task: what was not counted, and why; each sentence once."""

from __future__ import annotations


class Notes(list[str]):
    """Sentences for the result, in the order they were added."""

    def add(self, *sentences: str) -> None:
        """Add the sentences that are not there yet."""
        self.extend(one for one in dict.fromkeys(sentences) if one not in self)

    def add_once(self, subject: str, sentence: str) -> None:
        """Add a sentence that begins with `subject`, unless another one does."""
        if not any(note.startswith(subject) for note in self):
            self.append(sentence)
