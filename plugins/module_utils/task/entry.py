# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command as a task: `main` for modules, `execute` for modules and actions alike."""

from __future__ import annotations

import dataclasses
import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..errors import CanaryError
from ..kube.http import IMPORT_ERROR
from ..objects.plain_text import plain, plain_text
from .argument_spec import secrets
from .context import Context

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .argument_spec import ArgSpec


DATA: t.Final = frozenset({"patch", "resources", "report"})
"""Keys of a result with objects or hashed entries, which are returned as they are stored."""


class Command(t.Protocol):
    """What a file of `commands` offers.

    run(params, context) returns the task's result; Ansible shows its key `warnings`.
    """

    SPEC: ArgSpec
    run: Callable[..., dict[str, t.Any]]


def execute(command: Command, params: dict[str, t.Any], context: Context) -> tuple[dict[str, t.Any], list[str]]:
    """Return the result and the warnings; this is the one place where errors become a failed result.

    Texts from the cluster are made plain here: in the result but for objects as they are (DATA), and in what is shown
    while the command works.
    """

    def log(text: str) -> None:
        context.log(plain_text(text))

    def show(module: str, part: Mapping[str, t.Any]) -> None:
        context.show(module, plain(part))

    try:
        result = command.run(params, dataclasses.replace(context, log=log, show=show))
    except CanaryError as error:
        result = {"failed": True, "changed": False, **error.as_result()}
    except Exception as error:
        result = {
            "failed": True,
            "changed": bool(getattr(error, "changed", False)),
            "error_code": "defect",
            "msg": f"Unexpected {type(error).__name__} for service {params.get('service')} in namespace "
            f"{params.get('namespace')}: {error}. This is a defect of meshops.canary; please report it with the "
            "output of the task at -vvv. Read the objects before you run the task again.",
            "exception": traceback.format_exc(),
        }
    warnings = [plain_text(str(one)) for one in dict.fromkeys(result.pop("warnings", ()))]
    return plain(result, unchanged=DATA), warnings


def main(command: Command) -> None:
    """Run a command as an ordinary module."""
    module = AnsibleModule(argument_spec=command.SPEC.options, supports_check_mode=True, **command.SPEC.rules())
    module.no_log_values.update(secrets(module.params, os.environ))
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=str(IMPORT_ERROR))
    result, warnings = execute(command, module.params, Context(module.check_mode, module.debug))
    for warning in warnings:
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
