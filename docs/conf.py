# SPDX-License-Identifier: Apache-2.0
"""The documentation site (Sphinx). Its source folder is the top of the clone: links then work in both."""

import gettext
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import django
import sphinx.locale
from django.conf import settings
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from chinese_search import EnglishAndChinese  # it lies beside this file

project = "xca-plugin"
author = "The xca-plugin developers"
version = release = version_of(project)
html_title = f"{project} {version}"

# The reference loads the Django app of xca-login.
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "xca_login.integrations.django"]
)
django.setup()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [
    ".*",
    "build",
    "demo-card",
    "dist",
    "login",
    "packaging",
    "pkcs11_shim",
    "softhsm",
    "tests",
    "xca_centre",
    "xca_plugin",
]
language = "en"

html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_extra_path = ["site"]
html_search_language = "en"

myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a README may go from its title to any heading

autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
nitpicky = False


def _speak_chinese(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give a Chinese page its language, and the theme's words on it in that language."""
    if re.search(r"(/|\.)zh-TW(/|$)", page):
        catalogue = Path(sphinx.locale.__file__).parent
        words = gettext.translation("sphinx", catalogue, ["zh_TW"])
        context.update(language="zh-TW", _=words.gettext, gettext=words.gettext, ngettext=words.ngettext)


def setup(app: Sphinx) -> None:
    """Add Chinese pages to an English site, and a search that finds Chinese words."""
    app.add_search_language(EnglishAndChinese)
    app.connect("html-page-context", _speak_chinese)
