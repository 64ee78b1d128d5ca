# SPDX-License-Identifier: Apache-2.0
"""Tokens of SoftHSM for keys of the centre, in this process, with a module of their own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xca_centre.authority.token_key import Token
from xca_common.installed_softhsm import softhsm_configuration
from xca_common.secret import Secret

SO_PIN = "so-pin-1234"
PIN = "pin-of-the-centre"


@contextmanager
def soft_module(folder: Path) -> Iterator[Path]:
    """Yield a module without tokens, which this process finds as long as the block lasts."""
    library = next(Path("/usr").glob("lib*/**/libsofthsm2.so"))
    module = folder / library.name
    shutil.copy(library, module)
    tokens, configuration = folder / "tokens", folder / "softhsm2.conf"
    tokens.mkdir()
    configuration.write_bytes(softhsm_configuration(tokens))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        yield module


def soft_token(module: Path, label: str) -> Token:
    """Make a token, or open the one of this label."""
    return Token.create(module, label, Secret(SO_PIN), Secret(PIN))
