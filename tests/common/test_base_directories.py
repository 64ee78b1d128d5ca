# SPDX-License-Identifier: Apache-2.0
"""Where a user's files are; tests/module/test_surroundings.py asks the module the same."""

from pathlib import Path

import pytest

from xca_common.base_directories import config_home, data_home


def test_base_directories_are_those_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/there/config")
    monkeypatch.setenv("XDG_DATA_HOME", "/there/data")
    assert (config_home(), data_home()) == (Path("/there/config"), Path("/there/data"))


@pytest.mark.parametrize("named", [None, "", "relative/folder"])
def test_base_directories_without_an_absolute_path_are_below_home(
    monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        if named is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, named)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert config_home() == Path("/home/somebody/.config")
    assert data_home() == Path("/home/somebody/.local/share")
