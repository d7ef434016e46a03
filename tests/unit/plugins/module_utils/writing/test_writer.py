# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing several objects when one fails: what was written is put back, and what cannot be is said.

The API server is played, for a real one cannot be made to fail between two writes; its verdicts are real in tests/api.
"""

from __future__ import annotations

import copy
import typing as t

import jsonpatch
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, Conflict
from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Change, creation, deletion, edit
from ansible_collections.meshops.canary.plugins.module_utils.writing import writer as writing

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.kube.resources import Resource

Object = dict[str, t.Any]


def rule(name: str, *subsets: str, version: str = "1") -> Object:
    metadata = {"name": name, "namespace": "shop", "resourceVersion": version, "uid": "u"}
    spec = {"host": name, "subsets": [{"name": subset} for subset in subsets]}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}


class Server:
    """Keeps objects by name and applies patches of the paths these tests use. refuses: names whose writes fail."""

    def __init__(self, *objects: Object) -> None:
        self.stored = {one["metadata"]["name"]: copy.deepcopy(one) for one in objects}
        self.refuses: set[str] = set()
        self.mutates = False

    def _check(self, name: str) -> None:
        if name in self.refuses:
            raise ApiError(f"refused {name}", 500)

    def create(self, _kind: Resource, _namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        self._check(body["metadata"]["name"])
        made = copy.deepcopy(body)
        made["metadata"]["resourceVersion"] = "100"
        if not dry_run:
            self.stored[body["metadata"]["name"]] = made
        return made

    def delete(self, _kind: Resource, _namespace: str, name: str, **_named: t.Any) -> None:
        self._check(name)
        del self.stored[name]

    def patch(
        self,
        _kind: Resource,
        _namespace: str,
        name: str,
        patch: t.Sequence[Object],
        *,
        after: Object,
        subresource: str,
        dry_run: bool = False,
    ) -> Object:
        assert not subresource
        self._check(name)
        stored: Object = jsonpatch.apply_patch(self.stored[name], list(patch))
        assert {**stored, "metadata": {}} == {**after, "metadata": {}}
        stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)
        if self.mutates:
            stored["spec"]["subsets"] = []
        if not dry_run:
            self.stored[name] = stored
        return stored


def writer(server: Server) -> writing.Writer:
    return writing.Writer(t.cast("t.Any", server), lambda _said: None)


def changed(before: Object, *subsets: str) -> Change:
    change = edit(before, {**before, "spec": {**before["spec"], "subsets": [{"name": one} for one in subsets]}})
    assert change is not None
    return change


def specs(server: Server) -> dict[str, Object]:
    return {name: one["spec"] for name, one in server.stored.items()}


def test_everything_written_is_put_back_last_first() -> None:
    edited, removed = rule("edited", "v1"), rule("removed", "v1")
    server = Server(edited, removed)
    before = specs(server)
    one = writer(server)
    for change in (changed(edited, "v1", "v2"), creation(rule("made", "v1")), deletion(removed)):
        one.write(change)
    assert set(server.stored) == {"edited", "made"}
    error = one.undone(CanaryError("The fourth failed."))
    assert specs(server) == before
    assert one.written == []
    assert error.msg.startswith("The fourth failed. DestinationRule shop/removed had been written and was restored.")


def test_annotations_go_back_too() -> None:
    before = rule("edited", "v1")
    after = {**before, "metadata": {**before["metadata"], "annotations": {"ours": "x"}}}
    change = edit(before, after)
    assert change is not None
    server = Server(before)
    one = writer(server)
    one.write(change)
    one.undone(CanaryError("x"))
    assert "annotations" not in server.stored["edited"]["metadata"]


def test_what_cannot_be_put_back_is_named() -> None:
    first, second = rule("first", "v1"), rule("second", "v1")
    server = Server(first, second)
    one = writer(server)
    one.write(changed(first, "v2"))
    one.write(changed(second, "v2"))
    server.refuses = {"first"}
    error = one.undone(CanaryError("It failed."))
    assert "DestinationRule shop/second had been written and was restored" in error.msg
    assert "Undoing failed too, so DestinationRule shop/first stay as written: refused first" in error.msg
    assert [change.name for change, _stored in one.written] == ["first"]


def test_a_dry_run_stores_nothing() -> None:
    before = rule("edited", "v1")
    server = Server(before)
    one = writer(server)
    one.dry_run([changed(before, "v2"), creation(rule("made", "v1"))])
    assert server.stored == {"edited": before}
    assert one.written == []


def test_a_server_that_stores_something_else_is_noticed() -> None:
    before = rule("edited", "v1")
    server = Server(before)
    server.mutates = True
    one = writer(server)
    one.write(changed(before, "v1", "v2"))
    assert "stored something other than what was sent" in one.warnings[0]


class Controlled(Server):
    """A server whose controller writes after us: the status, or the spec."""

    def patch(self, _kind: Resource, _namespace: str, name: str, patch: t.Sequence[Object], **named: t.Any) -> Object:
        try:
            return super().patch(_kind, _namespace, name, patch, **named)
        except jsonpatch.JsonPatchTestFailed as failed:
            raise Conflict(f"{name} was modified") from failed

    def get(self, _kind: Resource, _namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self.stored.get(name))

    def controller_writes(self, name: str, **parts: t.Any) -> None:
        one = self.stored[name] = copy.deepcopy(self.stored[name])
        one["metadata"]["resourceVersion"] = str(int(one["metadata"]["resourceVersion"]) + 1)
        one.update(parts)


def test_a_status_written_since_does_not_keep_a_change_from_being_undone() -> None:
    before = rule("edited", "v1")
    server = Controlled(before)
    one = writer(server)
    one.write(changed(before, "v2"))
    server.controller_writes("edited", status={"parents": []})
    error = one.undone(CanaryError("It answers 500."))
    assert server.stored["edited"]["spec"] == before["spec"]
    assert server.stored["edited"]["status"] == {"parents": []}
    assert (one.written, "was restored" in error.msg) == ([], True)


def test_a_spec_written_since_is_not_overwritten() -> None:
    before = rule("edited", "v1")
    server = Controlled(before)
    one = writer(server)
    one.write(changed(before, "v2"))
    server.controller_writes("edited", spec={"host": "edited", "subsets": [{"name": "theirs"}]})
    error = one.undone(CanaryError("It answers 500."))
    assert server.stored["edited"]["spec"]["subsets"] == [{"name": "theirs"}]
    assert "Undoing failed too" in error.msg
