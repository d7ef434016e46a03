# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a Git checkout that get the final state of a service: manifests, Kustomize, values of Helm.

Everything is decided before anything is written: a file that cannot be edited safely refuses the whole handback. Each
result is read again, and must be the old file with the wanted values and nothing else.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field

from ..errors import InvalidInput, Refused
from ..gitops import final_state
from ..objects.metadata import full_name, typed_identity
from . import yaml_text
from .yaml_text import CannotEdit, Editor

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..objects.metadata import Object
    from .yaml_text import Edit, Node

    Json = dict[str, t.Any]

SUFFIXES: t.Final = (".yaml", ".yml", ".json")
_ROUTING: t.Final = ("VirtualService", "HTTPRoute", "GRPCRoute")
_FIELDS: t.Final = (
    *("/spec/http", "/spec/tls", "/spec/tcp", "/spec/rules", "/spec/subsets"),
    *("/spec/replicas", "/spec/minReplicas", "/spec/template/spec"),
)


class Value(t.NamedTuple):
    """A value of a Helm chart that gets a part of the final state. key: its path, with dots. what: for messages."""

    file: str
    key: str
    value: t.Any
    what: str


@dataclass
class Handback:
    """The new contents of files: path -> text. notes: what a person should look at. found: objects with a manifest."""

    contents: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)


class _Place(t.NamedTuple):
    """A manifest in a file. inside: the literal block that has it, in a Kustomization with inline patches."""

    file: str
    node: Node
    value: Json
    root: Node
    inside: Node | None = None


def handback(
    files: Mapping[str, str], objects: Sequence[Object], scaled: Iterable[str] = (), values: Sequence[Value] = ()
) -> Handback:
    """Return the files that change. Raises Refused and InvalidInput, which name file, object and way out.

    files: path -> text, of manifests and of values. objects: as they are in the cluster. scaled: Deployments
    (`Kind namespace/name`) whose number of pods an autoscaler owns.
    """
    result, work = Handback(), _Files(files)
    for obj in objects:
        places = work.manifests_of(obj)
        if len(places) > 1:
            listed = ", ".join(sorted({one.file for one in places}))
            raise Refused(
                f"{full_name(obj)} has {len(places)} manifests in the files: {listed}. Name only the one that is "
                "applied here, such as the patch of this overlay, in files. Nothing was written."
            )
        if not places:
            work.refuse_templates(obj)
            _note_missing(result, obj, values)
            continue
        result.found[full_name(obj)] = places[0].file
        result.notes += work.write(places[0], obj, scaled=full_name(obj) in set(scaled))
    for value in values:
        work.set_value(value)
    result.contents = work.finished()
    if not result.found and not values:
        raise Refused(
            f"None of the files has a manifest of {', '.join(full_name(one) for one in objects)}. Nothing was written. "
            "Name the files that have them in files, or the values of a Helm chart in helm_values."
        )
    return result


def _note_missing(result: Handback, obj: Object, values: Sequence[Value]) -> None:
    if obj["kind"] in _ROUTING and not values:
        raise Refused(
            f"{full_name(obj)} has no manifest in the files, so Git would keep its old weights. Nothing was written. "
            "Name its file in files; for a Helm chart name its values in helm_values."
        )
    result.notes.append(f"{full_name(obj)} has no manifest in the files, so it was left alone.")


class _Files:
    """The files, their documents and the edits that are collected for them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._edits: dict[str, list[Edit]] = {}
        self._expected: dict[str, dict[int, t.Any]] = {}
        self._blocks: dict[tuple[str, int], tuple[Node, str]] = {}
        self._unreadable: dict[str, str] = {}
        self._parsed: dict[str, yaml_text.Parsed] = {}
        for path, text in files.items():
            try:
                self._parsed[path] = yaml_text.parse(text)
            except CannotEdit as error:
                self._unreadable[path] = str(error)

    def manifests_of(self, obj: Object) -> list[_Place]:
        """Return the manifests of an object in all files."""
        return [place for path in self._parsed for place in self._in_file(path) if _is_of(place.value, obj)]

    def refuse_templates(self, obj: Object) -> None:
        """Raise Refused if the manifest may be in a file that is a template, or cannot be read."""
        name = typed_identity(obj)[2]
        for path, why in self._unreadable.items():
            if str(obj["kind"]) in self._files[path] and name in self._files[path]:
                what = _what(path, self._files[path], why)
                raise Refused(f"{what} {full_name(obj)} may be in it. Nothing was written.")

    def write(self, place: _Place, obj: Object, *, scaled: bool) -> list[str]:
        """Collect the edits of a manifest; return its notes."""
        text = self._files[place.file]
        if "{{" in text[place.node.start_mark.index : place.node.end_mark.index]:
            raise Refused(f"{_what(place.file, text, '')} It has {full_name(obj)}. Nothing was written.")
        if obj["kind"] in _ROUTING and not final_state.has_routes(place.value, obj):
            raise Refused(
                f"{place.file} has a patch of {full_name(obj)} without its routes, so Git would keep the old weights. "
                "Nothing was written. Name the file with the routes instead."
            )
        wanted = final_state.wanted(place.value, obj, scaled=scaled)
        if yaml_text.equal(wanted.value, place.value):
            return []
        if place.inside is not None:
            self._write_inside(place, wanted.value, obj)
            return list(wanted.notes)
        editor = Editor(text, place.root, final_state.identity)
        with_error = f"{place.file}: {full_name(obj)} cannot be edited: "
        edits = self._collect(editor, place.node, place.value, wanted.value, with_error)
        self._edits.setdefault(place.file, []).extend(edits)
        self._expect(place.file, place.value, wanted.value)
        return [*wanted.notes, *_rewritten(place.file, editor)]

    def set_value(self, value: Value) -> None:
        """Collect the edit of a value of a Helm chart."""
        path, keys = value.file, value.key.split(".")
        if path not in self._files:
            raise InvalidInput(f"helm_values: {path} is a directory. Name the file with the values.")
        if path in self._unreadable:
            raise Refused(f"{_what(path, self._files[path], self._unreadable[path])} Nothing was written.")
        parsed = self._parsed[path]
        if len(parsed.nodes) != 1 or not isinstance(parsed.values[0], dict):
            raise InvalidInput(f"helm_values: {path} must be one YAML document with keys, as a values file of Helm is.")
        node: Node = parsed.nodes[0]
        current: t.Any = parsed.values[0]
        for key in keys:
            step: str | int = int(key) if isinstance(current, list) and key.isdigit() else key
            found = yaml_text.child(node, step)
            if found is None or (isinstance(current, dict) and key not in current):
                raise InvalidInput(
                    f"helm_values: {path} has no key {value.key}, in which {value.what} should go: {key} is missing. "
                    "Name an existing key, with dots between its parts. Nothing was written."
                )
            node, current = found, current[step]
        if isinstance(current, (dict, list)):
            raise InvalidInput(f"helm_values: {value.key} in {path} is no single value. Name a key below it.")
        if isinstance(value.value, str) and str(node.value) == value.value:
            return
        editor = Editor(self._files[path], parsed.nodes[0], final_state.identity)
        edits = self._collect(editor, node, current, value.value, f"{path}: {value.key} cannot be edited: ")
        self._edits.setdefault(path, []).extend(edits)
        whole: t.Any = self._expected.setdefault(path, {}).setdefault(0, copy.deepcopy(parsed.values[0]))
        for key in keys[:-1]:
            whole = whole[int(key)] if isinstance(whole, list) else whole[key]
        whole[int(keys[-1]) if isinstance(whole, list) else keys[-1]] = value.value

    def finished(self) -> dict[str, str]:
        """Return the files with their edits, those that change. Raises Refused if one is not as it should be."""
        found = {}
        for path, edits in self._edits.items():
            try:
                text = yaml_text.applied(self._files[path], edits)
                values = yaml_text.parse(text).values
            except CannotEdit as error:
                raise Refused(f"{path} cannot be edited: {error}. {_BY_HAND}") from None
            expected = [self._expected[path].get(i, one) for i, one in enumerate(self._parsed[path].values)]
            if not yaml_text.equal(values, expected):
                raise Refused(f"{path} would have something else than the wanted values after the edit. {_BY_HAND}")
            if text != self._files[path]:
                found[path] = text
        return found

    def _in_file(self, path: str) -> Iterator[_Place]:
        parsed = self._parsed[path]
        for root, value in zip(parsed.nodes, parsed.values, strict=True):
            if not isinstance(value, dict):
                continue
            if str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
                items = yaml_text.child(root, "items")
                for index, item in enumerate(value["items"]):
                    node = yaml_text.child(items, index)
                    if isinstance(item, dict) and node is not None:
                        yield _Place(path, node, item, root)
            elif isinstance(value.get("patches"), list) or isinstance(value.get("patchesStrategicMerge"), list):
                yield from self._inline(path, root, value)
            else:
                yield _Place(path, root, value, root)

    def _inline(self, path: str, root: Node, value: Json) -> Iterator[_Place]:
        """Yield the manifests in the patches of a Kustomization."""
        for key in ("patches", "patchesStrategicMerge"):
            for index, entry in enumerate(value.get(key) or ()):
                text = entry.get("patch") if isinstance(entry, dict) else entry
                if not isinstance(text, str) or "\n" not in text:
                    continue
                listed = yaml_text.child(yaml_text.child(root, key), index)
                node = yaml_text.child(listed, "patch") if isinstance(entry, dict) else listed
                try:
                    inner = yaml_text.parse(text)
                except CannotEdit:
                    continue
                for inner_node, inner_value in zip(inner.nodes, inner.values, strict=True):
                    if isinstance(inner_value, dict):
                        yield _Place(path, inner_node, inner_value, inner_node, node)
                    elif isinstance(inner_value, list):
                        target = entry.get("target") if isinstance(entry, dict) else None
                        yield _Place(path, inner_node, {"operations": inner_value, "target": target}, inner_node, node)

    def _write_inside(self, place: _Place, wanted: Json, obj: Object) -> None:
        """Collect the edit of a patch that is a literal block of a Kustomization."""
        text, where = self._files[place.file], f"{place.file}: the inline patch of {full_name(obj)} cannot be edited: "
        block = yaml_text.block_text(text, place.inside)
        if block is None or place.inside is None:
            raise Refused(f"{where}it is no literal block (|). Write it as one, or into a file of its own. {_BY_HAND}")
        start, end, indent = block
        inner: str = place.inside.value
        if len(yaml_text.parse(inner).nodes) != 1:
            raise Refused(f"{where}it has several documents. Make each a patch of its own. {_BY_HAND}")
        editor = Editor(inner, place.root, final_state.identity)
        try:
            new = yaml_text.applied(inner, self._collect(editor, place.node, place.value, wanted, where))
        except CannotEdit as error:
            raise Refused(f"{where}{error}. {_BY_HAND}") from None
        newline = "\r\n" if "\r\n" in text else "\n"
        old = text[start:end]
        tail = old[len(old.rstrip()) :]
        lines = [f"{indent}{line}" if line else "" for line in new.rstrip("\n").split("\n")]
        self._edits.setdefault(place.file, []).append(yaml_text.Edit(start, end, newline.join(lines) + tail))
        self._expect(place.file, inner, new)

    def _collect(self, editor: Editor, node: Node, current: t.Any, wanted: t.Any, where: str) -> list[Edit]:
        try:
            return list(editor.set(node, current, wanted))
        except (CannotEdit, RecursionError) as error:
            raise Refused(f"{where}{error}. {_BY_HAND}") from None

    def _expect(self, path: str, old: t.Any, new: t.Any) -> None:
        """Note that one value of a file becomes another one."""
        for index, document in enumerate(self._parsed[path].values):
            known = self._expected.setdefault(path, {}).get(index, document)
            changed = _replaced(known, old, new)
            if not yaml_text.equal(changed, known):
                self._expected[path][index] = changed
                return


_BY_HAND: t.Final = "Nothing was written. Edit this value by hand, or leave the file out of files."


def _is_of(manifest: Json, obj: Object) -> bool:
    """Return whether a manifest is one of the object: kind, group, name, and the namespace if it has one."""
    if "operations" in manifest:
        return _refuse_operations(manifest, obj)
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or manifest.get("kind") != obj["kind"]:
        return False
    kind, namespace, name = typed_identity(obj)
    group = str(manifest.get("apiVersion") or "").rpartition("/")[0]
    return (
        group == final_state.KINDS[kind]
        and metadata.get("name") == name
        and (metadata.get("namespace") or namespace) == namespace
    )


def _refuse_operations(manifest: Json, obj: Object) -> bool:
    """Return False, or raise Refused for a JSON patch of a field that a rollout writes."""
    target = manifest.get("target") or {}
    kind, _namespace, name = typed_identity(obj)
    if not isinstance(target, dict) or (target.get("kind"), target.get("name")) != (kind, name):
        return False
    paths = [str(one.get("path")) for one in manifest["operations"] if isinstance(one, dict)]
    if any(path.startswith(_FIELDS) for path in paths):
        raise Refused(
            f"A Kustomization changes {full_name(obj)} by a JSON patch ({', '.join(paths)[:200]}), whose numbers of "
            "list items cannot be followed safely. Nothing was written. Write it as a strategic merge patch, with kind "
            "and metadata, or edit it by hand."
        )
    return False


def _what(path: str, text: str, why: str) -> str:
    if "{{" in text:
        return (
            f"{path} is a template of Helm ({{{{ }}}}), which is not edited. Name the value that it takes in "
            "helm_values, as file, key, version and field."
        )
    return f"{path} cannot be read as YAML: {why}."


def _rewritten(path: str, editor: Editor) -> list[str]:
    return [f"{path}: the list in line {line} was written anew; comments in it are gone." for line in editor.rewritten]


def _replaced(value: t.Any, old: t.Any, new: t.Any) -> t.Any:
    """Return the value with the first part that is `old` replaced."""
    if value is old or (isinstance(old, str) and value == old):
        return new
    if isinstance(value, dict):
        for key, one in value.items():
            changed = _replaced(one, old, new)
            if changed is not one:
                return {**value, key: changed}
    if isinstance(value, list):
        for index, one in enumerate(value):
            changed = _replaced(one, old, new)
            if changed is not one:
                return [*value[:index], changed, *value[index + 1 :]]
    return value
