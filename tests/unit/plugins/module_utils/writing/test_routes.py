# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of weights and cohorts to the terms of the routes."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context
from ansible_collections.meshops.canary.plugins.module_utils.writing import routes

NOTHING = dict.fromkeys((*routes._CONDITIONS, "match"))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"headers": {"end-user": "testuser"}}, [{"headers": {"end-user": "testuser"}}]),
        ({"headers": {"a": {"exact": "b"}}, "path": "/x"}, [{"headers": {"a": {"exact": "b"}}, "path": "/x"}]),
        ({"methods": ["GET"], "cookies": {}}, [{"methods": ["GET"]}]),
        (
            {"match": [{"query": {"a": "1"}}, {"path": {"prefix": "/x"}}]},
            [{"query": {"a": "1"}}, {"path": {"prefix": "/x"}}],
        ),
        ({"match": []}, []),
    ],
)
def test_a_cohort_in_the_words_of_the_routes(given: dict[str, t.Any], wanted: list[dict[str, t.Any]]) -> None:
    assert routes.cohort_matches({**NOTHING, **given}) == wanted


@pytest.mark.parametrize(
    ("given", "words"), [({"path": 7}, "path must be"), ({"match": [{}, {"path": [1]}]}, r"match\[1\]\.path must be")]
)
def test_a_path_of_another_shape_is_told_where_it_stands(given: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        routes.cohort_matches({**NOTHING, **given})


def test_cohorts_end_with_weights_and_not_with_their_absence() -> None:
    requested = {"state": "absent", "end_cohorts": ["testers"]}
    with pytest.raises(InvalidInput, match="end_cohorts cannot be used with state: absent"):
        routes.write_weights(t.cast("t.Any", None), requested, Context(False, print, {}))
