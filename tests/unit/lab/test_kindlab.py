# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's decisions, without a cluster: cache keys, ports, kind's configuration, failures, leftovers of a kill."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import sys
import time

import pytest

from lab.kindlab import cache, cli, host, kindconfig, ports, processes, progress, sources
from lab.kindlab.errors import LabError
from lab.kindlab.lab import Lab


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CANARY_LAB_CACHE", str(tmp_path / "cache"))
    for name in ("CANARY_LAB_KUBECONFIG", "CANARY_LAB_CONTEXT", "IMAGES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_cache_key_depends_on_every_input(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "go.sum"
    file.write_text("one")
    before = cache.digest([file, "flags"])
    file.write_text("two")
    keys = {before, cache.digest([file, "flags"]), cache.digest([file, "other"]), cache.digest(["flags", file])}
    assert len(keys) == 4


def test_cache_key_keeps_neighbours_apart() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_entry_is_built_once_and_found_again(own_cache: pathlib.Path) -> None:
    built: list[pathlib.Path] = []

    def builder(folder: pathlib.Path) -> None:
        built.append(folder)
        (folder / "program").write_text("content")

    first = cache.build_once("programs", ["x"], builder)
    again = cache.build_once("programs", ["x"], builder)
    assert first == again == cache.entry("programs", ["x"])
    assert (first / "program").read_text() == "content"
    assert len(built) == 1
    assert built[0] != first, "the builder must not fill the entry under its final name"


def test_failed_build_leaves_no_entry_and_can_be_repeated() -> None:
    def breaks(folder: pathlib.Path) -> None:
        (folder / "half").write_text("")
        raise LabError("no")

    with pytest.raises(LabError):
        cache.build_once("programs", ["x"], breaks)
    assert not cache.entry("programs", ["x"]).exists()
    mended = cache.build_once("programs", ["x"], lambda folder: (folder / "whole").touch())
    assert [path.name for path in mended.iterdir()] == ["whole"]


def test_clean_removes_entries_nobody_has_used_for_a_day(own_cache: pathlib.Path) -> None:
    old = cache.build_once("images", ["old"], lambda folder: None)
    used = cache.build_once("images", ["used"], lambda folder: None)
    yesterday = time.time() - 25 * 3600
    for path in (old, used):
        os.utime(path, (yesterday, yesterday))
    cache.build_once("images", ["used"], lambda folder: pytest.fail("it is there"))
    assert cache.clean(everything=False) == [old]
    assert used.is_dir()


def test_clean_keeps_what_was_built_unless_told(own_cache: pathlib.Path) -> None:
    for name in ("go/mod/x", "programs/y", "state/z"):
        (own_cache / name).mkdir(parents=True)
    (own_cache / "go/mod/x").chmod(0o500)
    cache.clean(everything=False)
    assert sorted(path.name for path in own_cache.iterdir()) == ["programs", "state"]
    cache.clean(everything=True)
    assert [path.name for path in own_cache.iterdir()] == ["state"]


def test_first_cluster_gets_the_first_ports_the_second_the_next() -> None:
    first = ports.choose((), lambda port: True)
    second = ports.choose(first.values(), lambda port: True)
    assert first == ports.FIRST
    assert second == {name: port + 1 for name, port in first.items()}


def test_ports_in_use_by_others_are_stepped_over() -> None:
    busy = {ports.FIRST["ingress"], ports.FIRST["api"] + 1}
    chosen = ports.choose((), lambda port: port not in busy)
    assert chosen == {name: port + 2 for name, port in ports.FIRST.items()}


def test_no_ports_left_is_said() -> None:
    with pytest.raises(LabError, match="no three free ports"):
        ports.choose((), lambda port: False)


def test_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_ports_are_claimed_once_and_never_twice() -> None:
    one, other = Lab("one"), Lab("other")
    one.claim_ports()
    other.claim_ports()
    kept = one.ports
    one.claim_ports()
    assert one.ports == kept == Lab("one").ports
    assert not set(one.ports.values()) & set(other.ports.values())


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 31, "../x"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot name a cluster"):
        Lab(name)


def test_kind_is_asked_for_these_ports_on_the_loopback_alone() -> None:
    chosen = {"api": 1, "ingress": 2, "prometheus": 3}
    config = json.loads(kindconfig.render(chosen, pathlib.Path("/policy"), own_pod_network=True))
    assert config["networking"] == {"apiServerAddress": "127.0.0.1", "apiServerPort": 1, "disableDefaultCNI": True}
    [node] = config["nodes"]
    assert node["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 2, "listenAddress": "127.0.0.1"},
        {"containerPort": 30090, "hostPort": 3, "listenAddress": "127.0.0.1"},
    ]


def test_api_server_gets_the_audit_policy_that_is_mounted() -> None:
    config = json.loads(kindconfig.render(ports.FIRST, pathlib.Path("/policy"), own_pod_network=True))
    [mount] = config["nodes"][0]["extraMounts"]
    patch = json.loads(config["kubeadmConfigPatches"][0])
    arguments = patch["apiServer"]["extraArgs"]
    assert mount["hostPath"] == "/policy"
    assert arguments["audit-policy-file"] == mount["containerPath"]
    volumes = {volume["mountPath"] for volume in patch["apiServer"]["extraVolumes"]}
    assert {arguments["audit-policy-file"], str(pathlib.PurePath(arguments["audit-log-path"]).parent)} == volumes


def test_reads_of_routing_objects_are_audited_before_anything_is_left_out() -> None:
    first = kindconfig.AUDIT_POLICY["rules"][0]
    assert {"group": "networking.istio.io"} in first["resources"]
    assert first["level"] == "Metadata"
    assert "verbs" not in first


@pytest.mark.parametrize(
    ("bounding", "lacking"), [("000001ffffffffff", False), ("000001fffeffffff", True), ("0000000001000000", False)]
)
def test_missing_capability_is_seen(bounding: str, lacking: bool) -> None:
    assert host.lacks_sys_resource(f"Name:\tx\nCapEff:\t{'f' * 16}\nCapBnd:\t{bounding}\n") is lacking


def test_named_cluster_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_LAB_CONTEXT", "prod-eu")
    monkeypatch.setattr(host, "docker_problem", lambda: pytest.fail("Docker must not even be asked"))
    found = sources.find()
    assert found.kind == sources.EXISTING
    assert "CANARY_LAB_CONTEXT=prod-eu" in found.reason


def test_running_docker_comes_before_a_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "")
    assert sources.find().kind == sources.DOCKER


def test_private_docker_gives_both_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "nobody answers")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: True)
    found = sources.find()
    assert found.kind == sources.PRIVATE
    assert "nobody answers" in found.reason


def test_nothing_possible_is_an_error_with_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "nobody answers")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: False)
    with pytest.raises(LabError, match="nobody answers") as caught:
        sources.find()
    assert "CANARY_LAB_KUBECONFIG" in caught.value.way_out


def test_private_docker_cannot_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    private = sources.Source(sources.PRIVATE, "")
    assert sources.images_mode(private)[0] == "build"
    monkeypatch.setenv("IMAGES", "pull")
    with pytest.raises(LabError, match="no way out"):
        sources.images_mode(private)


def test_forced_images_are_not_probed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_registry_answers", lambda: pytest.fail("must not be asked"))
    monkeypatch.setenv("IMAGES", "build")
    assert sources.images_mode(sources.Source(sources.DOCKER, ""))[0] == "build"
    monkeypatch.setenv("IMAGES", "maybe")
    with pytest.raises(LabError, match="IMAGES=maybe"):
        sources.images_mode(sources.Source(sources.DOCKER, ""))


def test_failed_step_shows_its_log_and_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LabError) as caught, progress.step("Make the thing", tmp_path, "Mend it.") as step:
        step.run([sys.executable, "-c", "import sys; sys.exit('the disk is full')"])
    assert 'The step "Make the thing" failed' in caught.value.message
    assert "the disk is full" in caught.value.message
    assert str(tmp_path / "make-the-thing.log") in caught.value.message
    assert caught.value.way_out == "Mend it."


def test_a_long_step_says_that_it_goes_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "STILL_EVERY", 0.05)
    with progress.step("Build it", tmp_path):
        time.sleep(0.3)
    told = capsys.readouterr().err.splitlines()
    assert "Build it: still running after" in told[1]
    assert str(tmp_path / "build-it.log") in told[1]
    assert "done in" in told[-1]


def test_a_policy_that_a_killed_one_left_is_removed_and_the_machines_own_is_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: True)
    host.POLICY.write_text(host.NO_SERVICES)
    host.remove_left_policy()
    assert not host.POLICY.exists()
    host.POLICY.write_text("#!/bin/sh\nexit 0\n")
    host.remove_left_policy()
    assert host.POLICY.exists()


def test_failure_inside_two_steps_is_told_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LabError) as caught, progress.step("Outer", tmp_path), progress.step("Inner", tmp_path) as step:
        step.run(["/no/such/program"])
    assert 'The step "Inner" failed' in caught.value.message
    assert "Outer" not in caught.value.message


def test_words_after_two_hyphens_are_the_command() -> None:
    assert cli._split(["exec", "core", "--", "ip", "--", "a"]) == (["exec", "core"], ["ip", "--", "a"])


def test_unknown_cluster_is_an_error_with_the_command_that_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig", "nowhere"]) == 1
    assert "lab/cluster up nowhere" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="marks are read from /proc")
class TestProcesses:
    def test_children_are_found_and_ended_with_their_parent(self, tmp_path: pathlib.Path) -> None:
        mark = f"test{tmp_path}"
        started = processes.start(mark, ["sh", "-c", "sleep 300 & sleep 300"], tmp_path / "log")
        until = time.monotonic() + 5
        while len(processes.find(mark)) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        found = processes.find(mark)
        processes.stop(mark, patience=1)
        assert len(found) == 3
        assert processes.find(mark) == []
        assert started.wait(5) != 0

    def test_one_that_will_not_end_is_made_to(self, tmp_path: pathlib.Path) -> None:
        mark = f"test{tmp_path}"
        started = processes.start(mark, [sys.executable, "-c", STUBBORN], tmp_path / "log")
        while "ready" not in (tmp_path / "log").read_text():
            time.sleep(0.02)
        processes.stop(mark, patience=0.2)
        assert started.wait(5) == -signal.SIGKILL

    def test_other_marks_are_left_alone(self, tmp_path: pathlib.Path) -> None:
        started = processes.start(f"test{tmp_path}-other", ["sleep", "300"], tmp_path / "log")
        processes.stop(f"test{tmp_path}", patience=0.1)
        assert started.poll() is None
        started.kill()
        started.wait()


STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"
