# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML of `productpage`: title, summary, details, reviews with stars, login form."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

PRODUCT = {
    "id": 0,
    "title": "The Comedy of Errors",
    "descriptionHtml": "Two pairs of identical twins, parted as children by a shipwreck, come to the same city on the "
    "same day. Nobody there can tell them apart, their wives, creditors and servants least of all.",
}
DETAIL_LABELS = {
    "type": "Type",
    "pages": "Pages",
    "publisher": "Publisher",
    "language": "Language",
    "ISBN-10": "ISBN-10",
    "ISBN-13": "ISBN-13",
}
STYLE = """
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1d2733;background:#f5f7fa}
header{display:flex;justify-content:space-between;align-items:center;padding:.7rem 1.5rem;background:#20304a;color:#fff}
header a,header button{color:#fff;background:none;border:1px solid #8fa3bf;border-radius:4px;padding:.2rem .8rem;
font:inherit;text-decoration:none;cursor:pointer}
header input{font:inherit;width:9rem;border:0;border-radius:4px;padding:.25rem .5rem}
main{max-width:60rem;margin:1.5rem auto;padding:0 1.5rem}h1{text-align:center;margin:.5rem 0}
.columns{display:flex;flex-wrap:wrap;gap:2rem;margin-top:1.5rem}.columns section{flex:1 1 20rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem}dt{font-weight:600}dd{margin:0}
blockquote{margin:0 0 1rem;padding:.6rem 1rem;background:#fff;border-left:4px solid #8fa3bf;border-radius:4px}
.stars{font-size:1.3rem;letter-spacing:.1em}.error{color:#a11}.served{color:#5b6b80;font-size:.85rem}
"""


def index() -> str:
    return _document(
        "Bookinfo", '<h1>Bookinfo</h1><p>A shop with one book: <a href="/productpage">its product page</a>.</p>', None
    )


def product_page(user: str | None, details: tuple[int, Any], reviews: tuple[int, Any]) -> str:
    """Return the page for the answers (status, JSON) of details and reviews; a status other than 200 shows an error."""
    body = f"""<h1>{escape(str(PRODUCT["title"]))}</h1>
<p id="summary"><b>Summary:</b> {escape(str(PRODUCT["descriptionHtml"]))}</p>
<div class="columns">
<section id="details">{_details(*details)}</section>
<section id="reviews">{_reviews(*reviews)}</section>
</div>"""
    return _document(str(PRODUCT["title"]), body, user)


def _document(title: str, body: str, user: str | None) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>
<body><header><span>BookInfo Sample</span>{_login(user)}</header>
<main>{body}</main></body></html>
"""


def _login(user: str | None) -> str:
    if user is not None:
        return f'<span id="user">{escape(user)} <a id="logout" href="/logout">Sign out</a></span>'
    return """<form id="login" method="post" action="/login">
<input name="username" placeholder="User name" aria-label="User name" required>
<input name="passwd" type="password" placeholder="Password" aria-label="Password">
<button type="submit">Sign in</button></form>"""


def _details(status: int, book: Any) -> str:
    if status != 200 or not isinstance(book, Mapping):
        return '<h2 class="error">Error fetching product details</h2><p>The book\'s details are not available now.</p>'
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(book.get(name, '')))}</dd>" for name, label in DETAIL_LABELS.items()
    )
    return f"<h2>Book Details</h2><dl>{rows}</dl>"


def _reviews(status: int, answer: Any) -> str:
    if status != 200 or not isinstance(answer, Mapping):
        return '<h2 class="error">Error fetching product reviews</h2><p>The book\'s reviews are not available now.</p>'
    reviews = "".join(_review(review) for review in answer.get("reviews", ()))
    pod = escape(str(answer.get("podname", "")))
    return f'<h2>Book Reviews</h2>{reviews}<p class="served">Reviews served by: <span id="served-by">{pod}</span></p>'


def _review(review: Mapping[str, Any]) -> str:
    return f"""<blockquote class="review"><p>{escape(str(review.get("text", "")))}</p>
<small>{escape(str(review.get("reviewer", "")))}</small>{_stars(review.get("rating"))}</blockquote>"""


def _stars(rating: Any) -> str:
    if not isinstance(rating, Mapping):
        return ""
    if "error" in rating:
        return f'<p class="error">{escape(str(rating["error"]))}</p>'
    color = escape(str(rating.get("color", "black")))
    full = min(5, max(0, int(rating.get("stars", 0))))
    return (
        f'<div class="stars" data-color="{color}" data-stars="{full}" style="color:{color}" '
        f'aria-label="{full} of 5 stars">{"★" * full}{"☆" * (5 - full)}</div>'
    )
