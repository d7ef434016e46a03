# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a command becomes a task: `main` for modules, `execute` for modules and actions alike."""

from __future__ import annotations

import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..cluster_http import IMPORT_ERROR
from ..errors import CanaryError
from .argspec import secrets

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .argspec import ArgSpec

    Log = Callable[[str], None]


class Command(t.Protocol):
    """What a file of this directory offers. run returns the task's result; its key `warnings` is shown by Ansible."""

    SPEC: ArgSpec
    run: Callable[..., dict[str, t.Any]]


def execute(
    command: Command, params: dict[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log
) -> tuple[dict[str, t.Any], list[str]]:
    """Return the result and the warnings; this is the one place where errors become a failed result."""
    try:
        result = command.run(params, check_mode=check_mode, env=env, log=log)
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
    warnings = list(dict.fromkeys(result.pop("warnings", ())))
    return result, warnings


def main(command: Command) -> None:
    """Run a command as an ordinary module."""
    module = AnsibleModule(argument_spec=command.SPEC.options, supports_check_mode=True, **command.SPEC.rules())
    module.no_log_values.update(secrets(module.params, os.environ))
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=str(IMPORT_ERROR))
    result, warnings = execute(command, module.params, check_mode=module.check_mode, env=os.environ, log=module.debug)
    for warning in warnings:
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
