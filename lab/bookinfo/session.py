# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signed-in user, in a signed cookie. Any password is accepted, because this is a sample."""

from __future__ import annotations

import base64
import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie

COOKIE = "session"
MAX_NAME_LENGTH = 64


class UserNameError(ValueError):
    """The name of the user is not valid in a header."""


def validated_name(name: str) -> str:
    """Return `name` for the header `end-user`: printable ASCII, at most 64 characters. Raises UserNameError."""
    name = name.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isascii() or not name.isprintable():
        raise UserNameError(f"a user name has 1 to {MAX_NAME_LENGTH} printable ASCII characters")
    return name


def login_cookie(user: str, key: str) -> str:
    """Return the value of Set-Cookie that signs `user` in."""
    name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
    return f"{COOKIE}={name}.{_signature(name, key)}; Path=/; HttpOnly; SameSite=Lax"


def logout_cookie() -> str:
    """Return the value of Set-Cookie that signs out."""
    return f"{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"


def user_of(cookie_header: str, key: str) -> str | None:
    """Return the user of a Cookie header; None without a session or with a wrong signature."""
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
