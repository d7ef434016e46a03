# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration of Sphinx for the web site; docs/site.py builds it."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes

project = "meshops.canary"
copyright = "the meshops.canary authors"  # noqa: A001  # the name is Sphinx's
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Canary releases on Kubernetes with Istio",
    "fixed_sidebar": True,
    "page_width": "1150px",
    "sidebar_width": "290px",
    "show_powered_by": False,
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_title = "meshops.canary"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_static_path: list[str] = []
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
default_role = "any"
nitpicky = True
myst_heading_anchors = 4
exclude_patterns = ["reference/index.rst", "reference/changelog.rst"]

ELSEWHERE = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|filter|lookup|callback|role|connection)")
"""References of antsibull-docs to plugins of other collections, which are pages of another site."""
DOCUMENTATION = "https://docs.ansible.com/projects/ansible/latest/"

SETTINGS = "reference_appendices/config.html"
PAGES = {
    "action_plugins": "plugins/action.html",
    "callback_plugins": "plugins/callback.html",
    "filter_plugins": "plugins/filter.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_configuration_settings": SETTINGS,
}
"""Labels of Ansible's own documentation that antsibull-docs refers to."""


def _link_elsewhere(_app: t.Any, _environment: t.Any, node: t.Any, text: t.Any) -> t.Any:
    """Return a link to the page of another collection, or of Ansible itself; None for a target that should be here."""
    target = str(node.get("reftarget", ""))
    found = ELSEWHERE.match(target)
    if found and found[1] != "meshops":
        url = f"{DOCUMENTATION}collections/{found[1]}/{found[2]}/{found[3]}_{found[4]}.html"
    elif target in PAGES:
        url = DOCUMENTATION + PAGES[target]
    elif node.get("reftype") == "envvar" and target.startswith("ANSIBLE_"):
        url = f"{DOCUMENTATION}{SETTINGS}#envvar-{target}"
    else:
        return None
    return nodes.reference("", "", text, refuri=url, internal=False)


def setup(app: t.Any) -> None:
    """Connect the links to other sites."""
    app.connect("missing-reference", _link_elsewhere)
