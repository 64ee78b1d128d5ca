# SPDX-License-Identifier: Apache-2.0
"""The sentences of xca_plugin, in English and Traditional Chinese (xca_common.i18n)."""

from pathlib import Path
from typing import Final

from xca_common.i18n import Catalogue

CATALOGUE: Final = Catalogue(Path(__file__).with_name("locale"))
text = CATALOGUE.text
"""Return a sentence of this package."""
plural = CATALOGUE.plural
"""Return a sentence of this package that depends on a number."""
_ = CATALOGUE.say
"""Return a sentence of this package as a string, in the language being spoken."""
