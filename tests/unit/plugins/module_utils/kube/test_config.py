# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From options and environment to a connection, by table. What needs a server is in tests/api/test_connection.py."""

from __future__ import annotations

import time
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.kube import config as cluster_config
from ansible_collections.meshops.canary.plugins.module_utils.kube import exec_plugin

if t.TYPE_CHECKING:
    from pathlib import Path

KUBECONFIG: dict[str, t.Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "clusters": [
        {"name": "one", "cluster": {"server": "https://one.example:6443", "proxy-url": "http://proxy.example:3128"}},
        {"name": "two", "cluster": {"server": "https://two.example:6443", "insecure-skip-tls-verify": True}},
    ],
    "users": [{"name": "user", "user": {"token": "from-file"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "one", "user": "user"}},
        {"name": "two", "context": {"cluster": "two", "user": "user"}},
    ],
}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a kubeconfig in the usual place."""
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    return {"HOME": str(tmp_path)}


def authorization(connection: cluster_config.Connection) -> str | None:
    return {name.lower(): value for name, value in connection.all_headers()}.get("authorization")


@pytest.mark.parametrize(
    ("option", "variable", "text", "value"),
    [
        ("kubeconfig", "KUBECONFIG", "/a/b", "/a/b"),
        ("context", "CONTEXT", "two", "two"),
        ("host", "HOST", "https://h", "https://h"),
        ("api_key", "API_KEY", "k", "k"),
        ("username", "USERNAME", "u", "u"),
        ("password", "PASSWORD", "p", "p"),
        ("client_cert", "CERT_FILE", "/c", "/c"),
        ("client_cert", "CLIENT_CERT", "/c", "/c"),
        ("client_key", "KEY_FILE", "/k", "/k"),
        ("client_key", "CLIENT_KEY", "/k", "/k"),
        ("ca_cert", "SSL_CA_CERT", "/ca", "/ca"),
        ("ca_cert", "CA_CERT", "/ca", "/ca"),
        ("validate_certs", "VERIFY_SSL", "no", False),
        ("validate_certs", "VALIDATE_CERTS", "False", False),
        ("validate_certs", "VALIDATE_CERTS", "0", False),
        ("validate_certs", "VALIDATE_CERTS", "off", True),
        ("validate_certs", "VALIDATE_CERTS", "1", True),
        ("proxy", "PROXY", "http://p:1", "http://p:1"),
        ("no_proxy", "NO_PROXY", "a,b", "a,b"),
        ("persist_config", "PERSIST_CONFIG", "true", True),
        ("impersonate_user", "IMPERSONATE_USER", "joe", "joe"),
        ("impersonate_groups", "IMPERSONATE_GROUPS", "a, b,", ["a", "b"]),
    ],
)
def test_variables_are_those_of_kubernetes_core(option: str, variable: str, text: str, value: t.Any) -> None:
    env = {f"K8S_AUTH_{variable}": text}
    assert cluster_config.settings({}, env) == {option: value}
    assert cluster_config.settings({option: None}, env) == {option: value}
    assert cluster_config.settings({option: "task"}, env) == {option: "task"}


def test_false_of_the_task_is_not_overruled_by_the_environment() -> None:
    assert cluster_config.settings({"validate_certs": False}, {"K8S_AUTH_VERIFY_SSL": "yes"}) == {
        "validate_certs": False
    }


def test_proxy_headers_come_from_either_side() -> None:
    env = {"K8S_AUTH_PROXY_HEADERS_USER_AGENT": "env", "K8S_AUTH_PROXY_HEADERS_BASIC_AUTH": "u:p"}
    found = cluster_config.settings({"proxy_headers": {"user_agent": "task", "basic_auth": None}}, env)
    assert found == {"proxy_headers": {"user_agent": "task", "basic_auth": "u:p"}}


@pytest.mark.parametrize(
    ("params", "env", "host", "auth"),
    [
        pytest.param({}, {}, "https://one.example:6443", "Bearer from-file", id="default kubeconfig"),
        pytest.param({"context": "two"}, {}, "https://two.example:6443", "Bearer from-file", id="context"),
        pytest.param({}, {"K8S_AUTH_CONTEXT": "two"}, "https://two.example:6443", "Bearer from-file", id="by variable"),
        pytest.param({"kubeconfig": KUBECONFIG}, {}, "https://one.example:6443", "Bearer from-file", id="dictionary"),
        pytest.param({"api_key": "k"}, {}, "https://one.example:6443", "Bearer k", id="token over file"),
        pytest.param(
            {"username": "u", "password": "p"}, {}, "https://one.example:6443", "Basic dTpw", id="password over file"
        ),
        pytest.param({"host": "https://h/"}, {}, "https://h", "Bearer from-file", id="host over file"),
        pytest.param({"host": "https://h", "api_key": "k"}, {"HOME": "/none"}, "https://h", "Bearer k", id="no file"),
        pytest.param(
            {"host": "https://h", "client_cert": "/c", "client_key": "/k"},
            {"HOME": "/none"},
            "https://h",
            None,
            id="cert",
        ),
        pytest.param(
            {"kubeconfig": "~/.kube/config:/nowhere"}, {}, "https://one.example:6443", "Bearer from-file", id="list"
        ),
        pytest.param(
            {}, {"KUBECONFIG": "/nowhere:~/.kube/config"}, "https://one.example:6443", "Bearer from-file", id="env"
        ),
    ],
)
def test_the_order_of_sources(
    home: dict[str, str], params: dict[str, t.Any], env: dict[str, str], host: str, auth: str | None
) -> None:
    connection = cluster_config.load(params, {**home, **env})
    assert (connection.host, authorization(connection)) == (host, auth)


def test_kubeconfig_of_the_task_environment_not_of_the_process(
    home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**KUBECONFIG, "current-context": "two"}
    (tmp_path / "other").write_text(yaml.safe_dump(other), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", "/of/the/process")
    assert cluster_config.load({}, {**home, "KUBECONFIG": str(tmp_path / "other")}).host == "https://two.example:6443"


def test_proxy_url_of_the_kubeconfig_and_the_option_over_it(home: dict[str, str]) -> None:
    assert cluster_config.load({}, home).configuration.proxy == "http://proxy.example:3128"
    assert cluster_config.load({"proxy": "http://mine:1"}, home).configuration.proxy == "http://mine:1"


def test_certificates_are_checked_unless_somebody_says_otherwise(home: dict[str, str]) -> None:
    assert cluster_config.load({}, home).configuration.verify_ssl is True
    assert cluster_config.load({"context": "two"}, home).configuration.verify_ssl is False
    assert cluster_config.load({"context": "two", "validate_certs": True}, home).configuration.verify_ssl is True
    assert cluster_config.load({"validate_certs": False}, home).configuration.verify_ssl is False


def test_every_impersonated_group_has_its_own_header(home: dict[str, str]) -> None:
    connection = cluster_config.load({"impersonate_user": "joe", "impersonate_groups": ["a", "b"]}, home)
    own = [header for header in connection.all_headers() if header[0].startswith("Impersonate")]
    assert own == [("Impersonate-User", "joe"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]


@pytest.mark.parametrize(
    ("params", "env", "error", "words"),
    [
        ({"kubeconfig": "/nowhere"}, {}, ApiError, "/nowhere does not exist"),
        ({}, {"HOME": "/nowhere"}, ApiError, "No kubeconfig to connect with: /nowhere/.kube/config"),
        ({"context": "three"}, {}, ApiError, "context three"),
        ({"kubeconfig": {"users": []}}, {}, ApiError, "given as a dictionary"),
        ({"host": "h:6443", "api_key": "k"}, {}, InvalidInput, "Write it with its scheme"),
        ({"impersonate_groups": ["a"]}, {}, InvalidInput, "only together with impersonate_user"),
    ],
)
def test_what_cannot_work_is_said_in_words(
    home: dict[str, str], params: dict[str, t.Any], env: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        cluster_config.load(params, {**home, **env})


def test_a_kubeconfig_that_is_no_yaml_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("clusters: [", encoding="utf-8")
    with pytest.raises(ApiError, match=str(tmp_path / "bad")):
        cluster_config.load({"kubeconfig": str(tmp_path / "bad")}, {})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo token expired, run cloud login >&2; exit 3", "token expired, run cloud login"),
        ("echo not json", "failed to decode"),
        ('echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "E", "status": {}}\'', "missing token"),
    ],
)
def test_a_failing_credential_plugin_is_quoted(tmp_path: Path, command: str, words: str) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", command]}
    config = {**KUBECONFIG, "users": [{"name": "user", "user": {"exec": plugin}}]}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ApiError, match=words) as caught:
        cluster_config.load({"kubeconfig": str(path)}, {})
    assert "credential plugin failed" in caught.value.msg


def test_a_credential_plugin_sees_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "\'$WHO\'"}}'
    )
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", f"echo '{answer}'"]}
    config = {**KUBECONFIG, "users": [{"name": "user", "user": {"exec": plugin}}]}
    monkeypatch.setenv("WHO", "anna")
    assert authorization(cluster_config.load({"kubeconfig": config}, {})) == "Bearer anna"


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}
ASKS = 'printf "Password: " >&2; read -r answer || exit 4; sleep 60'
ASKS_AT_THE_TERMINAL = "read -r answer < /dev/tty || exit 5; sleep 60"


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ({**PLUGIN, "args": ["-c", ASKS]}, "sh returned 4: Password. It gets no input here"),
        ({**PLUGIN, "args": ["-c", ASKS_AT_THE_TERMINAL]}, "sh returned [0-9]+.*It gets no input here"),
        ({**PLUGIN, "args": ["-c", "sleep 60 & wait"]}, "sh did not end within 0.5 s. It may wait for a login"),
        ({**PLUGIN, "command": "cloud-login"}, "cloud-login cannot be run: No such file or directory. Install it"),
        ({**PLUGIN, "args": ["-c", "echo []"]}, "sh did not print an ExecCredential"),
        ({**PLUGIN, "args": ["-c", """echo '{"apiVersion": "v0", "status": {}}'"""]}, "answered with v0"),
    ],
    ids=["asks", "asks at the terminal", "hangs", "missing", "no credential", "another version"],
)
def test_a_credential_plugin_cannot_wait_for_a_person(
    plugin: dict[str, t.Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_plugin.BoundedPlugin, "seconds", 0.5)
    config = {**KUBECONFIG, "users": [{"name": "user", "user": {"exec": plugin}}]}
    began = time.monotonic()
    with pytest.raises(ApiError, match=words):
        cluster_config.load({"kubeconfig": config}, {})
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("proxy.example", "http://proxy.example"),
        ("joe:secret@proxy.example:3128", "http://joe:secret@proxy.example:3128"),
        ("10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("https://proxy.example", "https://proxy.example"),
        ("", "http://proxy.example:3128"),  # of the kubeconfig
        (" ", None),
    ],
)
def test_a_proxy_without_a_scheme_is_an_http_proxy(home: dict[str, str], given: str, url: str | None) -> None:
    assert cluster_config.load({"proxy": given}, home).configuration.proxy == url


@pytest.mark.parametrize("given", ["ftp://proxy.example", "http://", "htp://proxy", "http://joe:secret@[::1"])
def test_what_is_no_proxy_is_said_without_its_password(home: dict[str, str], given: str) -> None:
    with pytest.raises(InvalidInput, match="is not the URL of a proxy") as caught:
        cluster_config.load({"proxy": given}, home)
    assert "secret" not in caught.value.msg


def test_a_socks_proxy_names_the_packages_that_are_missing(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"socks"}
    monkeypatch.setattr(cluster_config.importlib.util, "find_spec", lambda name: name in found or None)
    with pytest.raises(InvalidInput, match=r"missing: python-socks\. Install them with"):
        cluster_config.load({"proxy": "socks5://localhost:1080"}, home)
    found.add("python_socks")
    assert cluster_config.load({"proxy": "socks5://localhost:1080"}, home).configuration.proxy


def test_a_user_without_a_home_needs_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(_uid: int) -> t.NoReturn:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(InvalidInput, match="HOME is not set and the user 12345 has no entry in /etc/passwd"):
        cluster_config.load({}, {})
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    assert cluster_config.load({"kubeconfig": str(path)}, {}).host == "https://one.example:6443"


@pytest.mark.parametrize("blank", ["", None, {}], ids=str)
@pytest.mark.parametrize("option", ["context", "kubeconfig", "proxy", "host", "ca_cert"])
def test_a_blank_option_is_not_set(home: dict[str, str], option: str, blank: t.Any) -> None:
    assert cluster_config.load({option: blank}, home).host == "https://one.example:6443"
    if option == "context":
        assert cluster_config.load({option: blank}, {**home, "K8S_AUTH_CONTEXT": "two"}).host.startswith("https://two")
