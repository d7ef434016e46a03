# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes that were sent and not answered: the API server may have carried them out, or not.

A write carries a precondition, so the client may send it again. If the first one was carried out, the second one is
refused, as if another writer had been faster. Only the object itself shows which of the two happened.
"""

from __future__ import annotations

import ssl
import typing as t

from ..objects.patch import json_equal, resolve

try:
    from urllib3 import exceptions

    _AFTER_SENDING: tuple[type[BaseException], ...] = (
        exceptions.ReadTimeoutError,
        exceptions.ProtocolError,
        exceptions.SSLError,
        exceptions.DecodeError,
    )
    _BEFORE_SENDING: tuple[type[BaseException], ...] = (exceptions.HTTPError,)
except ImportError:  # reported by http.py
    _AFTER_SENDING = _BEFORE_SENDING = ()

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Object = Mapping[str, t.Any]

_MISSING: t.Final = object()


def may_have_arrived(error: BaseException) -> bool:
    """Return whether the server may have got the request that ended in `error` of urllib3 or of the socket."""
    tries = getattr(error, "history", ())
    error = getattr(error, "reason", None) or error
    if isinstance(error, exceptions.SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
        last = False
    else:
        last = isinstance(error, _AFTER_SENDING) or not isinstance(error, _BEFORE_SENDING)
    return last or was_tried(tries)


def was_tried(history: Iterable[t.Any]) -> bool:
    """Return whether one of these tries (urllib3's RequestHistory) may have been carried out."""
    return any((one.error and may_have_arrived(one.error)) or (one.status or 0) >= 500 for one in history)


def is_stored(found: Object, body: t.Any) -> bool:
    """Return whether `found` has all of the object that was to be created."""
    return all(contains(found.get(key), value) for key, value in body.items() if key not in ("apiVersion", "status"))


def is_patched(found: Object, after: Object, patch: Sequence[Object]) -> bool:
    """Return whether `found` has all that the patch, which makes `after`, changes. Other parts may be other ones.

    Of a list that the patch touches everything is compared, for its items have no names.
    """
    edits = [one["path"] for one in patch if one["op"] != "test"]
    return bool(edits) and all(_is_as_in(found, after, _outside_of_lists(after, path)) for path in edits)


def is_untouched(found: Object, patch: Sequence[Object]) -> bool:
    """Return whether all tests of the patch hold for `found`, so that it could still be applied."""
    tests = [one for one in patch if one["op"] == "test"]
    return bool(tests) and all(json_equal(_value(found, one["path"], None), one["value"]) for one in tests)


def contains(stored: t.Any, sent: t.Any) -> bool:
    """Return whether all that was sent is stored; the API's defaults may have been added."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return all(key in stored and contains(stored[key], value) for key, value in sent.items())
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(contains(*pair) for pair in zip(stored, sent, strict=True))
    return bool(stored == sent)


def _is_as_in(found: Object, after: Object, path: str) -> bool:
    wanted, there = _value(after, path, _MISSING), _value(found, path, _MISSING)
    if wanted is _MISSING or there is _MISSING:
        return wanted is there
    return contains(there, wanted)


def _outside_of_lists(document: Object, path: str) -> str:
    """Return the part of the path that leads to its first list; the whole path if it leads through none."""
    value: t.Any = document
    tokens = path.split("/")[1:]
    for index, token in enumerate(tokens):
        if isinstance(value, list):
            return "/" + "/".join(tokens[:index])
        value = value.get(token.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return path


def _value(document: Object, path: str, missing: t.Any) -> t.Any:
    try:
        return resolve(document, path)
    except (KeyError, IndexError, TypeError, ValueError):
        return missing
