# SPDX-License-Identifier: Apache-2.0
"""The names of the libraries, which are imported at first use."""

from types import ModuleType

import pytest

import softhsm
import xca_plugin

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("library", [softhsm, xca_plugin], ids=lambda library: library.__name__)
def test_public_name_of_a_library_at_its_first_use_is_there(library: ModuleType) -> None:
    assert [name for name in library.__all__ if getattr(library, name, None) is None] == []
    with pytest.raises(AttributeError, match="nobody"):
        _ = library.nobody
