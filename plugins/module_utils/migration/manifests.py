# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a pile of manifests to a translation: which one is translated, and what the others are for. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ..errors import InvalidInput
from ..objects.plain_text import plain_text
from .argo_analysis import KINDS
from .argo_rollout import from_argo_rollout
from .flagger_canary import from_flagger_canary

if t.TYPE_CHECKING:
    from .translation import Json

MOST_OBJECTS: t.Final = 2000
_AUTOSCALER: t.Final = "HorizontalPodAutoscaler"


def argo(given: t.Any, objects: t.Any = (), stable: str = "", canary: str = "") -> Json:
    """Return the translation of a Rollout.

    given: the Rollout, or a list of manifests with one Rollout. objects: manifests that belong to it. `unused` in the
    result names those that say nothing about how it rolls out. Raises InvalidInput.
    """
    main, others = _sorted("Rollout", given, objects)
    used = (*KINDS, "Service", "VirtualService", _AUTOSCALER)
    scaler, foreign = _autoscaler(others, "Rollout", main)
    result = from_argo_rollout(
        main,
        [one for one in others if one.get("kind") in KINDS],
        [one for one in others if one.get("kind") == "Service"],
        [one for one in others if one.get("kind") == "VirtualService"],
        scaler,
        stable,
        canary,
    )
    return {**result, "unused": _titles(one for one in others if one.get("kind") not in used or one in foreign)}


def flagger(given: t.Any, objects: t.Any = (), stable: str = "", canary: str = "") -> Json:
    """Return the translation of a Canary; arguments and errors as `argo`."""
    main, others = _sorted("Canary", given, objects)
    spec = main.get("spec")
    target = spec.get("targetRef") if isinstance(spec, Mapping) else None
    scaler, foreign = _autoscaler(others, "Deployment", {"metadata": target if isinstance(target, Mapping) else {}})
    templates = [one for one in others if one.get("kind") == "MetricTemplate"]
    result = from_flagger_canary(main, templates, scaler, stable, canary)
    used = ("MetricTemplate", _AUTOSCALER)
    return {**result, "unused": _titles(one for one in others if one.get("kind") not in used or one in foreign)}


def _sorted(kind: str, given: t.Any, objects: t.Any) -> tuple[Mapping[str, t.Any], list[Mapping[str, t.Any]]]:
    """Return the object of the kind, and all others."""
    listed = [*_listed(given, kind), *_listed(objects, "objects")]
    if len(listed) > MOST_OBJECTS:
        raise InvalidInput(f"objects: there are more than {MOST_OBJECTS}.")
    found = [one for one in listed if one.get("kind") == kind]
    if len(found) != 1:
        kinds = ", ".join(sorted({plain_text(str(one.get("kind")))[:40] for one in listed})) or "none"
        raise InvalidInput(
            f"There must be one {kind}, and there are {len(found)}. The kinds of the manifests: {kinds}."
        )
    return found[0], [one for one in listed if one is not found[0]]


def _listed(given: t.Any, what: str) -> list[Mapping[str, t.Any]]:
    """Return manifests as a list; empty documents of a YAML file, and lists of kubectl, are taken apart."""
    if given is None:
        return []
    alone = isinstance(given, Mapping)
    if alone and str(given.get("kind", "")).endswith("List") and isinstance(given.get("items"), Sequence):
        return _listed(given["items"], what)
    many = [given] if alone else given
    if not isinstance(many, Sequence) or isinstance(many, (str, bytes)):
        raise InvalidInput(f"{what}: a manifest or a list of manifests is needed, not {type(given).__name__}.")
    for index, one in enumerate(many):
        if one is not None and not isinstance(one, Mapping):
            raise InvalidInput(f"{what}[{index}]: a manifest is a mapping, not {type(one).__name__}.")
    return [one for one in many if one]


def _autoscaler(
    others: Sequence[Mapping[str, t.Any]], kind: str, target: Mapping[str, t.Any]
) -> tuple[Mapping[str, t.Any] | None, list[Mapping[str, t.Any]]]:
    """Return the autoscaler of the workload, and those of others."""
    metadata = target.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    scalers = [one for one in others if one.get("kind") == _AUTOSCALER]
    own = [one for one in scalers if _target_of(one) == (kind, name)]
    if len(own) > 1:
        raise InvalidInput(f"{_AUTOSCALER}: {len(own)} of them scale {kind} {plain_text(str(name))}. Give one.")
    return (own[0] if own else None), [one for one in scalers if one not in own]


def _target_of(scaler: Mapping[str, t.Any]) -> tuple[t.Any, t.Any]:
    spec = scaler.get("spec")
    reference = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    return (reference.get("kind"), reference.get("name")) if isinstance(reference, Mapping) else (None, None)


def _titles(objects: t.Iterable[Mapping[str, t.Any]]) -> list[str]:
    found = []
    for one in objects:
        metadata = one.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else ""
        found.append(plain_text(f"{one.get('kind')} {name}".strip())[:200])
    return found
