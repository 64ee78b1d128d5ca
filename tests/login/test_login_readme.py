# SPDX-License-Identifier: Apache-2.0
"""The example of login/README.md works."""

import re
from pathlib import Path
from typing import Any

import pytest

import xca_login
from support.login_site import Desk
from xca_login.testing.issuer import LIST, Answers, addresses, revocation_list, serving
from xca_login.testing.parties import holder
from xca_login.testing.tokens import sign
from xca_login.token import Token

pytestmark = pytest.mark.fast

README = Path(__file__).parents[2] / "login" / "README.md"


class Names(dict[str, Any]):
    """The names of the example; what is posted answers the challenge that it made."""

    def __missing__(self, name: str) -> bytes:
        if name != "posted":
            raise KeyError(name)
        return sign(self["card"], self["challenge"].text)


def test_example_of_the_readme_lets_a_card_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "ca.pem").write_bytes(desk.ca.pem)
    (example, *_) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    example = example.replace("/etc/site", str(tmp_path)).replace("/var/cache/site", str(tmp_path))
    with serving() as served:
        served.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        # The government's hosts are asked without being named; the example's issuer is on this machine.
        example = example.replace('/crl"))', '/crl"), ["127.0.0.1"])')
        names = Names(vars(xca_login), Path=Path, Token=Token, session_id="a session")
        names["card"] = holder(desk.ca, more=addresses(served.url, LIST))
        exec(example, names, names)
    assert names["login"].holder_name == "a school"
