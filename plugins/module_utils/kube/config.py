# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From options and environment to a connection: which API server, as whom, trusting what.

The options, the `K8S_AUTH_*` variables and their order are those of kubernetes.core:
`host` with a token, user and password, or certificate and key: no file is read. Else `kubeconfig` or `context`:
that file. Else the service account of the pod we run in, else the default kubeconfig. Options then override.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ApiError, InvalidInput
from ..objects.headers import can_be_value
from . import exec_plugin

try:
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import (
        ConfigException,
        load_incluster_config,
        load_kube_config,
        load_kube_config_from_dict,
    )
    from urllib3.exceptions import LocationParseError
    from urllib3.util import make_headers, parse_url

    IMPORT_ERROR: ImportError | None = None
except ImportError as error:
    IMPORT_ERROR = error

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# option -> suffixes of its K8S_AUTH_ variables, the first that is set wins
VARIABLES: t.Final[dict[str, tuple[str, ...]]] = {
    "kubeconfig": ("KUBECONFIG",),
    "context": ("CONTEXT",),
    "host": ("HOST",),
    "api_key": ("API_KEY",),
    "username": ("USERNAME",),
    "password": ("PASSWORD",),
    "client_cert": ("CLIENT_CERT", "CERT_FILE"),
    "client_key": ("CLIENT_KEY", "KEY_FILE"),
    "ca_cert": ("CA_CERT", "SSL_CA_CERT"),
    "validate_certs": ("VALIDATE_CERTS", "VERIFY_SSL"),
    "proxy": ("PROXY",),
    "no_proxy": ("NO_PROXY",),
    "persist_config": ("PERSIST_CONFIG",),
    "impersonate_user": ("IMPERSONATE_USER",),
    "impersonate_groups": ("IMPERSONATE_GROUPS",),
}
PROXY_HEADERS: t.Final = ("proxy_basic_auth", "basic_auth", "user_agent")
_BOOLEANS: t.Final = frozenset({"validate_certs", "persist_config"})
_PATHS: t.Final = frozenset({"ca_cert", "client_cert", "client_key"})
_FALSE: t.Final = frozenset({"0", "false", "no"})
_PROXY_SCHEMES: t.Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_SUFFICIENT: t.Final = (("host", "api_key"), ("host", "username", "password"), ("host", "client_cert", "client_key"))


@dataclass
class Connection:
    """How to reach one API server. headers: sent with every request (impersonation, basic authentication).

    again: reads the same options and files anew: a token file that was rotated, a plugin's next token, a new login.
    None where the options are the credentials.
    """

    configuration: Configuration
    headers: list[tuple[str, str]] = field(default_factory=list)
    again: Callable[[], Connection] | None = None

    @property
    def host(self) -> str:
        """Return the server's base URL without a trailing slash."""
        return str(self.configuration.host).rstrip("/")

    def all_headers(self) -> list[tuple[str, str]]:
        """Return the headers with the current credentials; those known to be expired are renewed here."""
        settings = self.configuration.auth_settings().values()
        credentials = [(str(one["key"]), str(one["value"])) for one in settings if one["in"] == "header"]
        own = {name.lower() for name, _value in self.headers}
        found = self.headers + [(name, value) for name, value in credentials if name.lower() not in own]
        for name, value in found:
            if not can_be_value(value):
                raise InvalidInput(
                    f"The header {name} for the API server cannot be sent: it has a line break, or another character "
                    "that no header can have. Check api_key, username, password and the impersonate options, and "
                    "the user of the kubeconfig; a token read from a file may end with a newline."
                )
        return found


def settings(params: Mapping[str, t.Any], env: Mapping[str, str]) -> dict[str, t.Any]:
    """Return the connection options that are set: from the task, else from `K8S_AUTH_*`."""
    found: dict[str, t.Any] = {}
    for option, suffixes in VARIABLES.items():
        value = params.get(option)
        if value is None or value in ("", {}):  # a blank answer of a survey
            value = _from_environment(option, suffixes, env)
        if value is not None:
            found[option] = value
    headers = params.get("proxy_headers") or {}
    from_env = {name: env.get(f"K8S_AUTH_PROXY_HEADERS_{name.upper()}") for name in PROXY_HEADERS}
    chosen = {name: headers.get(name) or from_env[name] for name in PROXY_HEADERS}
    if any(chosen.values()):
        found["proxy_headers"] = {name: value for name, value in chosen.items() if value}
    return found


def _from_environment(option: str, suffixes: tuple[str, ...], env: Mapping[str, str]) -> t.Any:
    text = next((env[f"K8S_AUTH_{suffix}"] for suffix in suffixes if env.get(f"K8S_AUTH_{suffix}")), None)
    if text is None:
        return None
    if option in _BOOLEANS:
        return text.lower() not in _FALSE
    if option == "impersonate_groups":
        return [group.strip() for group in text.split(",") if group.strip()]
    return text


def load(params: Mapping[str, t.Any], env: Mapping[str, str]) -> Connection:
    """Return the connection these options and variables describe.

    Raises ApiError if a kubeconfig, context or exec plugin cannot be used, InvalidInput if options contradict.
    """
    chosen = settings(params, env)
    configuration = Configuration()
    if not any(all(chosen.get(name) for name in names) for names in _SUFFICIENT):
        _read_file(configuration, chosen, env)
    headers = _override(configuration, chosen, env)
    host = str(configuration.host or "")
    if not host.startswith(("http://", "https://")):
        raise InvalidInput(
            f"host: {host!r} is not the URL of an API server. Write it with its scheme, as https://api.example.org:6443."
        )
    configuration.proxy = _proxy_url(configuration.proxy)
    static = chosen.get("api_key") or (chosen.get("username") and chosen.get("password"))
    return Connection(configuration, headers, None if static else lambda: load(params, env))


def _proxy_url(given: str | None) -> str | None:
    """Return the proxy's URL; one without a scheme is an HTTP proxy, as for curl and kubectl. Raises InvalidInput."""
    if not given or not given.strip():
        return None
    text = given.strip()
    url = text if "://" in text else f"http://{text}"
    try:
        parsed = parse_url(url)
        scheme, host = parsed.scheme or "", parsed.host
    except LocationParseError:
        scheme, host = "", None
    shown = re.sub("//[^/@]*@", "//***@", url)
    if scheme not in _PROXY_SCHEMES or not host:
        raise InvalidInput(
            f"proxy: {shown} is not the URL of a proxy. Write it as http://proxy.example.org:3128; the scheme is one "
            f"of {', '.join(_PROXY_SCHEMES)}. It comes from the option proxy, K8S_AUTH_PROXY, proxy-url of the "
            "kubeconfig, or HTTPS_PROXY."
        )
    missing = [name for name in ("socks", "python_socks") if not importlib.util.find_spec(name)]
    if scheme.startswith("socks") and missing:
        packages = {"socks": "PySocks", "python_socks": "python-socks"}
        raise InvalidInput(
            f"proxy: {shown} is a SOCKS proxy, which needs the Python packages PySocks and python-socks on the host "
            f"that runs the task; missing: {', '.join(packages[name] for name in missing)}. Install them with: "
            "pip install PySocks python-socks; or use an HTTP proxy."
        )
    return url


def _read_file(configuration: Configuration, chosen: dict[str, t.Any], env: Mapping[str, str]) -> None:
    source, context = chosen.get("kubeconfig"), chosen.get("context")
    if not source and not context and _in_cluster(configuration, env):
        return
    persist = bool(chosen.get("persist_config"))
    exec_plugin.install()
    if isinstance(source, dict):
        with _explained("the kubeconfig given as a dictionary", context):
            load_kube_config_from_dict(source, context=context, client_configuration=configuration)
        return
    path = _expand(str(source or env.get("KUBECONFIG") or "~/.kube/config"), env)
    existing = [part for part in path.split(os.pathsep) if part and Path(part).exists()]
    if not existing:
        raise ApiError(
            f"No kubeconfig to connect with: {path} does not exist and no in-cluster service account was found. "
            "Set the option kubeconfig (or K8S_AUTH_KUBECONFIG, or KUBECONFIG), or host with api_key."
            if not source
            else f"kubeconfig: {path} does not exist. Set the path of a kubeconfig that exists on the host "
            "that runs the task."
        )
    with _explained(f"kubeconfig {path}", context):
        load_kube_config(
            os.pathsep.join(existing), context=context, client_configuration=configuration, persist_config=persist
        )


def _expand(path: str, env: Mapping[str, str]) -> str:
    """Expand `~` by the HOME of the task's environment, which need not be that of this process.

    Raises InvalidInput if nobody knows where home is.
    """
    if not any(part.startswith("~/") for part in path.split(os.pathsep)):
        return path
    try:
        home = env.get("HOME") or str(Path.home())
    except (RuntimeError, KeyError) as error:
        raise InvalidInput(
            f"{path} is in a home directory, but HOME is not set and the user {os.getuid()} has no entry in "
            "/etc/passwd. Set HOME, or give a path without ~: the option kubeconfig, or K8S_AUTH_KUBECONFIG."
        ) from error
    return os.pathsep.join(home + part[1:] if part.startswith("~/") else part for part in path.split(os.pathsep))


def _in_cluster(configuration: Configuration, env: Mapping[str, str]) -> bool:
    if not env.get("KUBERNETES_SERVICE_HOST"):
        return False
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        return False
    return True


class _Records(logging.Handler):
    """Collects what the client only logs: the failure of an exec plugin, with the plugin's stderr."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _explained(source: str, context: str | None) -> Iterator[None]:
    """Turn everything that can be wrong with a kubeconfig into one ApiError that names it."""
    where = f"{source}, context {context}" if context else source
    records = _Records()
    logging.getLogger().addHandler(records)
    try:
        yield
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise ApiError(f"Cannot connect with {where}: {error}. Check the file with: kubectl config view") from error
    finally:
        logging.getLogger().removeHandler(records)
    if records.messages:
        raise ApiError(
            f"Cannot connect with {where}: its credential plugin failed: {'; '.join(records.messages)}. "
            "Run the plugin manually with the same environment, or log in again."
        )


def _override(configuration: Configuration, chosen: dict[str, t.Any], env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Put the explicit options over what a file said; return the headers they ask for."""
    headers: list[tuple[str, str]] = []
    for option, attribute in (
        ("host", "host"),
        ("validate_certs", "verify_ssl"),
        ("ca_cert", "ssl_ca_cert"),
        ("client_cert", "cert_file"),
        ("client_key", "key_file"),
        ("no_proxy", "no_proxy"),
        ("proxy", "proxy"),
    ):
        if option in chosen:
            value = chosen[option]
            setattr(configuration, attribute, _expand(value, env) if option in _PATHS else value)
    if chosen.get("api_key"):
        configuration.refresh_api_key_hook = None
        configuration.api_key = {"authorization": f"Bearer {chosen['api_key']}"}
    elif chosen.get("username") and chosen.get("password"):
        configuration.refresh_api_key_hook = None
        configuration.api_key = {}
        headers += make_headers(basic_auth=f"{chosen['username']}:{chosen['password']}").items()
    if chosen.get("proxy_headers"):
        configuration.proxy_headers = make_headers(**chosen["proxy_headers"])
    if chosen.get("impersonate_groups") and not chosen.get("impersonate_user"):
        raise InvalidInput("impersonate_groups: the API server accepts groups only together with impersonate_user.")
    if chosen.get("impersonate_user"):
        headers.append(("Impersonate-User", chosen["impersonate_user"]))
        headers += [("Impersonate-Group", group) for group in chosen.get("impersonate_groups") or ()]
    return headers
