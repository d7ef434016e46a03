# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is logged in: a signed cookie. Any password will do, this is a sample."""

from __future__ import annotations

import base64
import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie

COOKIE = "session"
LONGEST_NAME = 64


class UserNameError(ValueError):
    """The user's name cannot go into a header."""


def checked_name(name: str) -> str:
    """`name`, which will be sent as the header `end-user`: printable ASCII of at most 64 characters."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isascii() or not name.isprintable():
        raise UserNameError(f"a user name has 1 to {LONGEST_NAME} printable ASCII characters")
    return name


def cookie_for(user: str, key: str) -> str:
    """The value of Set-Cookie that logs `user` in."""
    name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
    return f"{COOKIE}={name}.{_signature(name, key)}; Path=/; HttpOnly; SameSite=Lax"


def cookie_of_nobody() -> str:
    """The value of Set-Cookie that logs out."""
    return f"{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"


def user_of(cookie_header: str, key: str) -> str | None:
    """The user that a Cookie header names; None when nobody is logged in or the signature is not ours."""
    if COOKIE not in cookie_header:
        return None
    try:
        morsel = SimpleCookie(cookie_header).get(COOKIE)
    except CookieError:
        return None
    name, dot, signature = morsel.value.partition(".") if morsel else ("", "", "")
    if not dot or not hmac.compare_digest(signature.encode(), _signature(name, key).encode()):
        return None
    return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()


def _signature(name: str, key: str) -> str:
    return hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()[:32]
