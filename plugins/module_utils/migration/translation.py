# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of a translation: variables, what has no counterpart, and what the user has to add. Pure."""

from __future__ import annotations

import typing as t

from ..errors import InvalidInput
from ..objects.plain_text import plain_text
from ..rollout.steps import MAX_WAIT_SECONDS, by_pods, steps_from
from .manifest import is_template

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .manifest import Manifest, Node

Json: t.TypeAlias = "dict[str, t.Any]"

DAY: t.Final = 86_400.0
LONGEST_PAUSE: t.Final = 5 * DAY
"""With a warm-up of a day at most it is below the longest deadline, a week."""
LEFT_OUT_OF_ALL: t.Final = (("apiVersion",), ("status",), ("metadata",))
"""Fields of every object that say nothing about how it rolls out."""


class Translation:
    """Collects a translation. manifests: the objects it is made of, the first is what is translated."""

    def __init__(self, *manifests: Manifest) -> None:
        self.manifests = list(manifests)
        self.variables: Json = {}
        self.to_set: list[Json] = []
        self.notes: list[Json] = []

    def set(self, name: str, value: t.Any) -> None:
        """Set a variable of the playbook rollout."""
        self.variables[name] = value

    def need(self, variable: str, reason: str) -> None:
        """Say that the user has to set a variable, and to what."""
        if all(one["variable"] != variable for one in self.to_set):
            self.to_set.append({"variable": variable, "reason": reason})

    def note(self, node: Node, name: str, text: str) -> None:
        """Say how a field that is translated differs from what it was."""
        entry = {"field": node.field(name), "text": text}
        if entry not in self.notes:
            self.notes.append(entry)

    def result(self, **more: t.Any) -> Json:
        """Return the translation in the form that docs/migration.md describes.

        Fields that no code has looked at are listed too. Raises InvalidInput if the steps are none that a rollout can
        have, which would be a mistake of the translation.
        """
        main = self.manifests[0]
        listed: list[Json] = []
        for one in self.manifests:
            one.left_out |= set(LEFT_OUT_OF_ALL)
            for path in one.untouched():
                reason = "The translation does not know this field."
                entry = {
                    "reason": reason,
                    "instead": "Look up what it does and whether you need it.",
                    "blocking": False,
                }
                one.listed.setdefault(path, {"field": f"{one.title}: {one.field(path)}", **entry})
            listed += one.listed.values()
        check(self.variables)
        return {
            "source": {"kind": main.kind, "name": plain_text(main.name), "namespace": plain_text(main.namespace)},
            "variables": self.variables,
            "to_set": self.to_set,
            "no_counterpart": listed,
            "notes": self.notes,
            "ready": not self.to_set and not any(one["blocking"] for one in listed),
            **more,
        }


def check(variables: Json) -> None:
    """Raise InvalidInput for variables that a rollout would refuse, or that Ansible would read as templates."""
    for name, value in variables.items():
        if any(map(is_template, texts(value))):
            raise InvalidInput(f"{name}: its text would be a template for Ansible. Translate this part by hand.")
    if (steps := variables.get("steps")) is not None:
        options = {name: variables[f"rollout_{name}"] for name in ("deadline",) if f"rollout_{name}" in variables}
        parsed = steps_from({"steps": steps, **options})
        if variables.get("rollout_route_api") == "replicas":
            by_pods(parsed)


def texts(value: t.Any) -> t.Iterator[str]:
    """Yield every text in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def add_deadlines(steps: Sequence[Json], deadline: float, warm_up: float) -> list[Json]:
    """Return the steps with a deadline where the pause and the warm-up need one above `deadline` seconds."""
    found = []
    for step in steps:
        least = step.get("pause", 0.0) + warm_up
        if least >= deadline:
            step = {**step, "deadline": tidy(min(least + deadline, MAX_WAIT_SECONDS))}
        found.append({name: tidy(value) if isinstance(value, float) else value for name, value in step.items()})
    return found


def tidy(number: float) -> int | float:
    """Return whole numbers as such, for files that people read."""
    return int(number) if number == int(number) else round(number, 3)
