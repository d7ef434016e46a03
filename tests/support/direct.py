# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of the modules, called on the real API server without the cost of ansible-playbook."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

Result = dict[str, t.Any]
Object = dict[str, t.Any]
ISTIO = "networking.istio.io/v1"
AT_ONCE: dict[str, t.Any] = {
    "state": "promoted",
    "stable": "v1",
    "canary": "v2",
    "pause": 0,
    "drain": 0,
    "retire_after": 0,
    "analysis": False,
    "capacity": False,
}
"""Options of a rollout that waits for nothing; with `steps` it is complete."""
LOW_LEVEL_STATES = ("opened", "recorded", "aborted", "closed")
"""States of a rollout that support/session_steps.py has, and no module."""


class Direct:
    """Call it with a command's name and a task's options; connection and namespace are filled in."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace
        self.said: list[str] = []
        self.terminal: t.Any = None
        self.show: t.Callable[[str, t.Mapping[str, t.Any]], None] | None = None

    def __call__(self, command: str, *, check_mode: bool = False, fails: bool = False, **options: t.Any) -> Result:
        """Return the task's result, its warnings under `warnings`. fails: whether it must fail."""
        result = self.attempt(command, check_mode=check_mode, **options)
        assert bool(result.get("failed")) == fails, result
        return result

    def attempt(self, command: str, *, check_mode: bool = False, defect: bool = False, **options: t.Any) -> Result:
        """Return the result, failed or not. defect: whether the collection's own mistake is what the test is about."""
        utils = "ansible_collections.meshops.canary.plugins.module_utils"
        module = importlib.import_module(f"{utils}.commands.{command}")
        if command == "rollout" and options.get("state") in LOW_LEVEL_STATES:
            module = importlib.import_module("support.session_steps")
        entry = importlib.import_module(f"{utils}.task.entry")
        context = importlib.import_module(f"{utils}.task.context").Context(check_mode, self.said.append)
        if self.terminal is not None:
            context = dataclasses.replace(context, terminal=self.terminal)
        if self.show is not None:
            context = dataclasses.replace(context, show=self.show)
        known = {"kubeconfig": self.kubeconfig, "namespace": self.namespace, "service": "reviews"}
        given = {**{name: value for name, value in known.items() if name in module.SPEC.options}, **options}
        checked = ArgumentSpecValidator(module.SPEC.options, **module.SPEC.rules()).validate(given)
        assert not checked.error_messages, checked.error_messages
        result, warnings = entry.execute(module, checked.validated_parameters, context)
        assert (result.get("error_code") == "defect") == defect, result.get("exception")
        return {**result, "warnings": warnings}


def virtual_service(*, name: str = "reviews", host: str = "reviews", **spec: t.Any) -> Object:
    """Return a VirtualService with all requests on v1 and fields that nobody may touch."""
    route = {
        "name": "all",
        "timeout": "7s",
        "retries": {"attempts": 1, "perTryTimeout": "2s"},
        "route": [
            {"destination": {"host": host, "subset": "v1"}, "weight": 100},
            {"destination": {"host": host, "subset": "v2"}, "weight": 0},
        ],
    }
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": name, "annotations": {"team": "reading"}},
        "spec": {"hosts": [host], "http": [route], **spec},
    }


def destination_rule(host: str = "reviews", versions: tuple[str, ...] = ("v1", "v2", "v3")) -> Object:
    """Return a DestinationRule with a subset for each version."""
    subsets = [{"name": version, "labels": {"version": version}} for version in versions]
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": host},
        "spec": {
            "host": host,
            "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 77}}},
            "subsets": subsets,
        },
    }


def service(name: str = "reviews") -> Object:
    """Return the Service of all versions."""
    ports = [{"name": "http", "port": 9080, "targetPort": 9080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def essence(obj: Object | None) -> Object | None:
    """Return what an author of the object wrote, without what the server keeps of it."""
    if obj is None:
        return None
    kept = copy.deepcopy(obj)
    for key in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"):
        kept["metadata"].pop(key, None)
    return kept
