# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a rollout in a file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ..rollout.metrics_text import metrics_text

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def write(path: str, report: Mapping[str, t.Any]) -> str:
    """Replace the file; return a warning if it cannot be written, else an empty text.

    The temporary file does not end in .prom, so the collector never reads it.
    """
    try:
        target = Path(path).expanduser()
        temporary = target.with_name(f"{target.name}.{os.getpid()}.new")  # another host of the play may write it too
        temporary.write_text(metrics_text(report), encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(target)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows where ~ is
        return f"textfile {path} could not be written; the rollout continues: {error}"
    return ""
