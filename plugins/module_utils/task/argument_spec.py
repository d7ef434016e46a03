# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options several modules share. Their documentation is in `plugins/doc_fragments`, under the same names."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..kube.config import settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Options = dict[str, dict[str, t.Any]]

CONNECTION: t.Final[Options] = {
    "kubeconfig": {"type": "raw", "no_log": False},  # its secrets are hidden one by one, see `secrets`
    "context": {"type": "str"},
    "host": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "proxy_headers": {
        "type": "dict",
        "options": {
            "proxy_basic_auth": {"type": "str", "no_log": True},
            "basic_auth": {"type": "str", "no_log": True},
            "user_agent": {"type": "str"},
        },
    },
    "persist_config": {"type": "bool"},
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
}

SERVICE: t.Final[Options] = {
    "service": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "route_api": {"type": "str", "default": "auto", "choices": ["auto", "istio", "gateway"]},
    "cluster_domain": {"type": "str", "default": "cluster.local"},
    "istio_namespace": {"type": "str", "default": "istio-system"},
}

BY_PODS: t.Final[Options] = {
    **SERVICE,
    "route_api": {"type": "str", "default": "auto", "choices": ["auto", "istio", "gateway", "replicas"]},
}

SCOPE: t.Final[Options] = {
    "virtual_services": {
        "type": "list",
        "elements": "str",
        "default": [],
        "aliases": ["virtual_service"],
    },
    "http_routes": {"type": "list", "elements": "str", "default": [], "aliases": ["http_route"]},
    "grpc_routes": {"type": "list", "elements": "str", "default": [], "aliases": ["grpc_route"]},
    "routes": {"type": "list", "elements": "str", "default": []},
}

STATE: t.Final[Options] = {"state": {"type": "str", "default": "present", "choices": ["present", "absent"]}}

WRITE: t.Final[Options] = {
    "preflight": {"type": "bool", "default": True},
    "force": {"type": "list", "elements": "str", "default": []},
    "return_object": {"type": "bool", "default": False},
}

WAIT: t.Final[Options] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 120.0},
    "settle_seconds": {"type": "float", "default": 5.0},
    "wait_sample": {"type": "int", "default": 50},
}

PROMETHEUS: t.Final[Options] = {
    "prometheus_url": {"type": "str"},
    "prometheus_token": {"type": "str", "no_log": True},
    "prometheus_username": {"type": "str"},
    "prometheus_password": {"type": "str", "no_log": True},
    "prometheus_ca_cert": {"type": "path"},
    "prometheus_validate_certs": {"type": "bool", "default": True},
    "prometheus_timeout": {"type": "float", "default": 10.0},
    "prometheus_headers": {"type": "dict"},
    "prometheus_labels": {"type": "dict"},
}

_SECRET_HEADER: t.Final = re.compile("auth|cookie|credential|token|secret|key|password", re.IGNORECASE)
_SECRET_LEAVES: t.Final = frozenset(
    {"token", "password", "client-key-data", "access-token", "id-token", "refresh-token", "client-secret"}
)


@dataclass(frozen=True)
class ArgSpec:
    """A module's options and the rules between them, as AnsibleModule and ArgumentSpecValidator take them."""

    options: Options
    mutually_exclusive: Sequence[Sequence[str]] = ()
    required_together: Sequence[Sequence[str]] = ()
    required_one_of: Sequence[Sequence[str]] = ()
    required_if: Sequence[Sequence[t.Any]] = ()
    required_by: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def defaults(self) -> dict[str, t.Any]:
        """Return each option with its default, for a call with only a few of them."""
        return {name: option.get("default") for name, option in self.options.items()}

    def rules(self) -> dict[str, t.Any]:
        """Return everything but the options, as keyword arguments."""
        return {
            "mutually_exclusive": list(self.mutually_exclusive),
            "required_together": list(self.required_together),
            "required_one_of": list(self.required_one_of),
            "required_if": list(self.required_if),
            "required_by": dict(self.required_by),
        }


def secrets(params: Mapping[str, t.Any], env: Mapping[str, str]) -> set[str]:
    """Return the values that no output may show and that the spec cannot mark.

    These are the credentials inside a kubeconfig given as a dictionary, those of the environment, and those in headers
    for Prometheus and for checks.
    """
    chosen = settings(params, env)
    found = {str(chosen[name]) for name in ("api_key", "password") if chosen.get(name)}
    if isinstance(chosen.get("kubeconfig"), dict):
        found.update(_leaves(chosen["kubeconfig"].get("users") or []))
    found.update(_credentials_of_url(chosen.get("proxy")))
    for options in (params, *_services(params.get("release"))):
        found.update(_credentials_of_metrics(options))
    return {value for value in found if value.strip()}


def _services(release: t.Any) -> Iterator[Mapping[str, t.Any]]:
    """Yield the options of the services of a release, whose credentials the spec does not mark."""
    given = release if isinstance(release, dict) else {}
    listed = given.get("services")
    for options in (given.get("defaults"), *(listed if isinstance(listed, list) else ())):
        if isinstance(options, dict):
            yield options


def _credentials_of_metrics(options: Mapping[str, t.Any]) -> Iterator[str]:
    """Yield the credentials for Prometheus and for checks."""
    for name in ("prometheus_token", "prometheus_password"):
        if isinstance(options.get(name), str):
            yield options[name]
    listed = options.get("metrics")
    metrics = [one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
    for headers in (options.get("prometheus_headers"), *(one.get("headers") for one in metrics)):
        yield from _credentials(headers)
    for url in (*(one.get("url") for one in metrics), options.get("prometheus_url")):
        yield from _credentials_of_url(url)


def _credentials_of_url(url: t.Any) -> Iterator[str]:
    """Yield user and password of a URL, and the password alone."""
    try:
        parts = urlsplit(str(url or ""))
        password = parts.password
    except ValueError:  # what is no URL is refused where it is used
        return
    if password:
        yield from (password, unquote(password), parts.netloc.rpartition("@")[0])


def _credentials(headers: t.Any) -> Iterator[str]:
    """Yield the secret values, also without the scheme before them (Bearer, Basic); a tenant's name is no secret."""
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if _SECRET_HEADER.search(str(name)):
            yield from (str(value), str(value).rpartition(" ")[2])


def _leaves(node: t.Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _SECRET_LEAVES and isinstance(value, str):
                yield value
            else:
                yield from _leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value)
