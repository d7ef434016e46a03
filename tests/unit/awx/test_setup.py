# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""awx/setup.yml against the modules of awx.awx, and what it creates in a stand-in for the API of AWX."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from support import playbooks
from support.awx_api import IS_PLAYBOOK, Awx, RefusedError, problem_of_survey, serving
from support.collection import ROOT, tree

FOLDER = ROOT / "awx"
PLAYBOOKS = sorted((FOLDER / "playbooks").glob("*.yml"))
SETTINGS: dict[str, t.Any] = {
    "awx_project_url": "https://git.shop.test/canary.git",
    "awx_image": "registry.shop.test/canary-ee:1.0.0",
    "awx_waves": ["pilot", "rest"],
    "awx_notification": {
        "notification_type": "webhook",
        "notification_configuration": {"url": "https://chat.shop.test"},
    },
}
KUBECONFIG = "users: [{name: lab, user: {token: hidden-from-output}}]\n"


def read(path: Path) -> t.Any:
    """Read YAML; text marked unsafe is text."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)


def options_of(module: str) -> dict[str, t.Any]:
    """Return the options that a module of awx.awx documents, with those of its connection."""
    folders = (Path(one) / "ansible_collections" / "awx" / "awx" / "plugins" / "modules" for one in sys.path)
    modules = next(folder for folder in folders if folder.is_dir())
    source = (modules / f"{module}.py").read_text(encoding="utf-8")
    documentation = re.search(r"DOCUMENTATION = r?(?:'''|\"\"\")(.*?)(?:'''|\"\"\")", source, re.S)
    assert documentation
    return dict(yaml.safe_load(documentation[1])["options"])


def tasks_of_setup() -> list[tuple[str, dict[str, t.Any]]]:
    (play,) = read(FOLDER / "setup.yml")
    named = ((key, task) for task in play["tasks"] for key in task if key.startswith("awx.awx."))
    return [(key.removeprefix("awx.awx."), task[key]) for key, task in named]


def set_up(awx: Awx, folder: Path, **more: t.Any) -> str:
    """Run awx/setup.yml and return its output, which must have succeeded."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "TOWER_"))}
    environment |= {"ANSIBLE_HOME": str(tree() / "home"), "HOME": str(folder), "CONTROLLER_OAUTH_TOKEN": "unused"}
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    with serving(awx) as url:
        command = [program, "-v", str(FOLDER / "setup.yml"), "-e", json.dumps({**SETTINGS, **more})]
        environment["CONTROLLER_HOST"] = url
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> tuple[Awx, str]:
    """Run setup.yml once; return the AWX after it, and the output."""
    folder = tmp_path_factory.mktemp("awx")
    (folder / "kubeconfig").write_text(KUBECONFIG, encoding="utf-8")
    (folder / "key").write_text("hidden-key", encoding="utf-8")
    awx = Awx(FOLDER)
    files = {"awx_kubeconfig_file": str(folder / "kubeconfig"), "awx_record_key_file": str(folder / "key")}
    return awx, set_up(awx, folder, **files)


def test_every_option_of_the_setup_is_one_of_its_module() -> None:
    for module, given in tasks_of_setup():
        documented = options_of(module)
        assert set(given) <= set(documented), module
        for name, value in given.items():
            choices = documented[name].get("choices")
            assert not choices or value in choices or "{{" in str(value), f"{module}: {name}"
        assert all(name in given for name, option in documented.items() if option.get("required") is True), module


def test_the_setup_creates_each_template_with_its_survey_and_credentials(created: tuple[Awx, str]) -> None:
    awx, _output = created
    templates = {one["name"]: one for one in awx.objects["job_templates"]}
    assert set(templates) == {one["name"] for one in read(FOLDER / "vars" / "templates.yml")["awx_job_templates"]}
    for template in templates.values():
        assert awx.surveys[template["related"]["survey_spec"]]["spec"], template["name"]
        assert len(awx.associated[template["url"] + "credentials/"]) == 2
        assert awx.associated[template["url"] + "notification_templates_error/"]


def asked_by(awx: Awx, template: dict[str, t.Any]) -> set[str]:
    return {question["variable"] for question in awx.surveys[template["related"]["survey_spec"]]["spec"]}


def test_surveys_ask_for_variables_that_the_playbooks_have(created: tuple[Awx, str]) -> None:
    awx, _output = created
    for template in awx.objects["job_templates"]:
        playbook = FOLDER / template["playbook"]
        unknown = asked_by(awx, template) - variables_of(playbook)
        assert unknown == set(), template["name"]
        needed = required_by(playbook.stem)
        assert needed <= asked_by(awx, template), f"{template['name']} does not ask for {needed}"


def variables_of(playbook: Path) -> set[str]:
    """Return the variables of the playbook of the collection that this one imports, of its role, and its own."""
    own = playbook.read_text(encoding="utf-8")
    found = set(playbooks.variables_of(playbook.stem)) | {"canary_hosts"}
    return found | ({"canary_release_file"} if "canary_release_file" in own else set())


def required_by(playbook: str) -> set[str]:
    """Return the variables whose absence a playbook of the collection refuses."""
    text = (ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^          - (\w+) is string and \1 \| length > 0$", text, re.M))


def test_the_workflow_asks_for_an_approval_before_each_wave(created: tuple[Awx, str]) -> None:
    awx, _output = created
    nodes = {one["id"]: one for one in awx.objects["workflow_job_template_nodes"]}
    names = {one["identifier"]: one for one in nodes.values()}

    def after(name: str, way: str) -> list[str]:
        numbers = awx.associated.get(f"{names[name]['url']}{way}_nodes/", [])
        return [nodes[number]["identifier"] for number in numbers]

    way, at = [], ["plan"]
    while at:
        way += at
        at = after(at[0], "success")
    assert way == ["plan", "approve-pilot", "release-pilot", "approve-rest", "release-rest", "status"]
    assert names["plan"]["job_type"] == "check"
    assert names["release-rest"]["extra_data"] == {"release_until": "rest"}
    assert after("approve-pilot", "failure") == [], "nothing has begun that could go back"
    assert after("approve-rest", "failure") == ["rollback"]
    assert after("release-rest", "failure") == [], "a handled failure would be a successful workflow"
    approvals = awx.objects["workflow_approval_templates"]
    assert [one["timeout"] for one in approvals] == [86400, 86400]


def test_no_secret_is_in_the_output(created: tuple[Awx, str]) -> None:
    awx, output = created
    stored = {one["name"]: one["inputs"] for one in awx.objects["credentials"]}
    assert stored["meshops.canary clusters"]["kubeconfig"].strip() == KUBECONFIG.strip()
    assert stored["meshops.canary secrets"]["record_key"] == "hidden-key"
    assert "hidden" not in output


def test_credentials_are_rendered_by_awx_and_not_by_ansible(created: tuple[Awx, str]) -> None:
    awx, _output = created
    types = {one["name"]: one for one in awx.objects["credential_types"]}
    injected = types["meshops.canary clusters"]["injectors"]
    assert injected["env"]["K8S_AUTH_KUBECONFIG"] == "{{ tower.filename.kubeconfig }}"
    assert "extra_vars" not in injected, "an extra variable would override the inventory of the clusters"
    for one in types.values():
        fields = {field["id"] for field in one["inputs"]["fields"]}
        texts = [text for part in one["injectors"].values() for text in part.values()]
        assert set(re.findall(r"{{ (\w+) }}", " ".join(texts))) == fields


def test_settings_that_nobody_changed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"Copy awx/settings\.yml"):
        set_up(Awx(FOLDER), tmp_path, awx_project_url="https://git.example.com/shop/canary.git")


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.name)
def test_awx_offers_each_file_as_a_playbook(path: Path) -> None:
    assert IS_PLAYBOOK.search(path.read_text(encoding="utf-8"))
    assert f"import_playbook: meshops.canary.{path.stem}" in path.read_text(encoding="utf-8")


def test_the_stand_in_refuses_what_awx_refuses() -> None:
    question = {"question_name": "Steps", "variable": "steps", "type": "text", "required": False}
    assert problem_of_survey({"name": "", "description": "", "spec": [question]}) == ""
    for wrong in ({"default": 5}, {"type": "boolean"}, {"required": "no"}, {"min": "0"}):
        assert problem_of_survey({"name": "", "description": "", "spec": [{**question, **wrong}]})
    awx = Awx(FOLDER)
    with pytest.raises(RefusedError, match="Playbook not found"):
        awx.create("job_templates", {"name": "x", "playbook": "settings.yml"})
    template = awx.create("job_templates", {"name": "x", "playbook": "playbooks/rollout.yml"})
    node = {"unified_job_template": template["id"], "extra_data": {"release_until": "pilot"}}
    with pytest.raises(RefusedError, match="not allowed on launch"):
        awx.create("workflow_job_template_nodes", node)


def test_awx_offers_the_playbooks_of_the_guides_too() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            assert "import_playbook" not in block or IS_PLAYBOOK.search(block), (
                f"{page.name}: AWX does not list {block}"
            )
