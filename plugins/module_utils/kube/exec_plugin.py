# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credential plugins of a kubeconfig (`exec`), run so that none can wait for a person: no terminal, no input, a limit.

The kubernetes library gives a plugin the input of the playbook and waits for it forever. A plugin that asks for a
password, or whose server does not answer, would then hang the task.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import typing as t

try:
    from kubernetes.config import ConfigException, kube_config
    from kubernetes.config.exec_provider import ExecProvider
except ImportError:  # reported by config.py
    ExecProvider = object
    ConfigException = OSError

SECONDS: t.Final = 60.0
"""How long a plugin may take. A login that needs a person takes longer, and belongs before the playbook."""


class BoundedPlugin(ExecProvider):  # the library has no types
    """A plugin without input and with a time limit."""

    seconds = SECONDS

    def run(self, previous_response: t.Any = None) -> t.Any:
        """Return the `status` of the plugin's ExecCredential. Raises ConfigException."""
        del previous_response  # of a web challenge, which no version of the API has any more
        try:
            credential = json.loads(self._output())
        except ValueError as error:
            raise ConfigException(f"exec: failed to decode what {self.args[0]} printed: {error}") from error
        if not isinstance(credential, dict) or not isinstance(credential.get("status"), dict):
            raise ConfigException(f"exec: {self.args[0]} did not print an ExecCredential with a status")
        if credential.get("apiVersion") != self.api_version:
            raise ConfigException(
                f"exec: {self.args[0]} answered with {credential.get('apiVersion')}, but the kubeconfig names "
                f"{self.api_version}"
            )
        return credential["status"]

    def _output(self) -> str:
        env = {**self.env, "KUBERNETES_EXEC_INFO": json.dumps(self._info())}
        pipes: dict[str, t.Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        try:
            # A session of its own: it has no terminal to ask at, and ends as a whole.
            plugin = subprocess.Popen(self.args, cwd=self.cwd, env=env, text=True, start_new_session=True, **pipes)
        except OSError as error:
            raise ConfigException(
                f"exec: {self.args[0]} cannot be run: {error.strerror}. Install it on the host that runs the task, and "
                "check PATH there"
            ) from error
        try:
            output, errors = plugin.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            _end(plugin)
            raise ConfigException(
                f"exec: {self.args[0]} did not end within {self.seconds:g} s. It may wait for a login or for a server. "
                "A playbook has no input for it: log in before, or use credentials that need no person"
            ) from None
        except BaseException:
            _end(plugin)
            raise
        if plugin.returncode != 0:
            said = " ".join(errors.split())[-500:].rstrip(".: ")
            raise ConfigException(
                f"exec: {self.args[0]} returned {plugin.returncode}{f': {said}' if said else ''}. It gets no input "
                "here: if it asks for a login, log in before"
            )
        return str(output)

    def _info(self) -> dict[str, t.Any]:
        spec: dict[str, t.Any] = {"interactive": False}
        if self.cluster:
            spec["cluster"] = dict(self.cluster.value)
            for one in spec["cluster"].get("extensions") or ():
                if one["name"] == "client.authentication.k8s.io/exec":
                    spec["cluster"]["config"] = one["extension"]
        return {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}


def install() -> None:
    """Let the library run plugins this way in this process: a worker of Ansible, or a module."""
    kube_config.ExecProvider = BoundedPlugin


def _end(plugin: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):  # it has just ended
        os.killpg(plugin.pid, signal.SIGKILL)
    plugin.wait()
