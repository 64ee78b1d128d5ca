# SPDX-License-Identifier: Apache-2.0
"""The sentences of xca_centre, in English and Traditional Chinese (xca_common.i18n)."""

from pathlib import Path
from typing import Final

from xca_common.i18n import Catalogue

_CATALOGUE: Final = Catalogue(Path(__file__).with_name("locale"))
text = _CATALOGUE.text
"""Return a sentence of this package."""
plural = _CATALOGUE.plural
"""Return a sentence of this package that depends on a number."""
say = _CATALOGUE.say
"""Return a sentence of this package as a string, in the language being spoken."""
