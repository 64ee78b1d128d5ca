# SPDX-License-Identifier: Apache-2.0
"""What a sandbox begins with: settings, a ceremony, organisations, two officers with open cards."""

import json
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from xca_centre import certificate_sets, officers, organisations, settings
from xca_centre.beginning import is_begun
from xca_centre.centre import Centre
from xca_centre.clocks import MovableClock
from xca_centre.i18n import text
from xca_centre.life.certificate import CertificateState
from xca_centre.life.transitions import Actor, Role
from xca_centre.sandbox.web_server import HOST
from xca_common import atomic_file
from xca_common.folders import make_private
from xca_common.i18n import Text
from xca_login.demo.programs import run, variables_for

_STATE: Final = "sandbox.json"
_PEOPLE: Final = (("lin", "林初審"), ("chen", "陳複審"))
_AUTHORITY: Final = ("2.16.886.111.990000", "組織及團體測試憑證管理中心")
_REGISTER: Final = Path(__file__).parents[1] / "data" / "organisations.csv"
_PIN_DIGITS: Final = 8
_ROOT_PIN: Final = "XCA_SANDBOX_ROOT_PIN"
_CODES: Final = "XCA_SANDBOX_USER_CODE"
_PIN: Final = "XCA_SANDBOX_PIN"
_BY: Final = Actor(Role.OPERATOR, "sandbox")


@dataclass(frozen=True)
class SandboxOfficer:
    """An officer of a sandbox, and what his page would not tell of a real one.

    Attributes:
        id: by which events name him.
        name: as people call him.
        card: the number of his card; "": it is not made yet.
        pin: its PIN.
        user_code: its user code.
    """

    id: str
    name: str
    card: str
    pin: str
    user_code: str


@dataclass(frozen=True)
class Sandbox:
    """A sandbox in a folder.

    Attributes:
        folder: the centre's.
        port: where the centre listens; its certificates name it.
        page_port: where the sandbox's own page is.
        officers: first review, second review.
    """

    folder: Path
    port: int
    page_port: int
    officers: Sequence[SandboxOfficer]

    @property
    def origin(self) -> str:
        """The centre's."""
        return f"http://{HOST}:{self.port}"

    @property
    def cards(self) -> Path:
        """The folder of the stand-in's cards."""
        return self.folder / "cards"

    @property
    def mails(self) -> Path:
        """The folder of the mails that were sent."""
        return self.folder / "mails"

    @property
    def clock(self) -> MovableClock:
        """The clock of all its parts."""
        return MovableClock(self.folder / "clock")

    @property
    def variables(self) -> dict[str, str]:
        """The environment of programs that use the cards."""
        return variables_for(self.folder / "holder", self.cards)

    def write_settings(self, component: str | None = None) -> None:
        """Write the centre's settings.

        Args:
            component: the address of the local component; None: it does not run yet.
        """
        own = _SETTINGS.format(
            origin=self.origin,
            component=f'component = "{component}"' if component else "",
            oid=_AUTHORITY[0],
            name=_AUTHORITY[1],
        )
        atomic_file.write(self.folder / "centre.toml", own.encode())


_SETTINGS: Final = """\
issuer = "test"
rules = "rules.toml"
origin = "{origin}"
{component}
journal = "journal"
clock = "clock"
[authority]
oid = "{oid}"
name = "{name}"
[root]
name = "C=TW,O=政府測試憑證總管理中心"
[producer]
name = "softhsm"
[payments]
provider = "test"
[mail]
sender = "centre@xca.test"
folder = "mails"
"""
_RULES: Final = """\
[about]
website = {{ value = "{origin}/", source = "this sandbox" }}
[profile]
repository = {{ value = "{origin}", source = "this sandbox" }}
"""


def set_up(folder: Path, tell: Callable[[Text], object]) -> Sandbox:
    """Set a sandbox up in a folder, or go on with the one that is there.

    Args:
        folder: where.
        tell: says to the person what is done.

    Raises:
        ProgramMissing, ProgramFailed: a program cannot be used.
        OSError: the folder cannot be written, or there is no free port.
    """
    make_private(folder)
    sandbox = _kept(folder)
    if not (sandbox.cards / "cards.db").exists():
        run(sandbox.variables, "softhsm-card", "init")
    sandbox.write_settings()
    atomic_file.write(folder / "rules.toml", _RULES.format(origin=sandbox.origin).encode())
    centre = Centre(settings.read(folder))
    if not is_begun(centre):
        tell(text("Beginning a centre, with two officers and their cards"))
        _begin(sandbox)
        _keep(_with_cards(sandbox, centre))
    sandbox = _kept(folder)
    _register(centre)
    centre.database.close()
    return sandbox


def _kept(folder: Path) -> Sandbox:
    """Return the sandbox in a folder; one that is not there is made."""
    path = folder / _STATE
    if not path.exists():
        ports = _free_ports()
        people = [
            SandboxOfficer(officer, name, "", digits(), secrets.token_hex(5)) for officer, name in _PEOPLE
        ]
        _keep(Sandbox(folder, ports[0], ports[1], people))
    read: dict[str, Any] = json.loads(path.read_bytes())
    people = [SandboxOfficer(**each) for each in read["officers"]]
    return Sandbox(folder, read["port"], read["page_port"], people)


def _keep(sandbox: Sandbox) -> None:
    kept = {
        "port": sandbox.port,
        "page_port": sandbox.page_port,
        "officers": [asdict(each) for each in sandbox.officers],
    }
    atomic_file.write(sandbox.folder / _STATE, json.dumps(kept, ensure_ascii=False).encode())


def _begin(sandbox: Sandbox) -> None:
    codes = sandbox.folder / "user-codes"
    atomic_file.write(codes, "".join(f"{each.user_code}\n" for each in sandbox.officers).encode())
    people = [word for each in sandbox.officers for word in ("--officer", each.id, each.name)]
    sources = ["--root-pin", f"env:{_ROOT_PIN}", "--user-codes", f"file:{codes}"]
    variables = sandbox.variables | {_ROOT_PIN: digits()}
    try:
        run(variables, "xca-centre", "--dir", str(sandbox.folder), "init", *people, *sources)
    finally:
        codes.unlink()


def _with_cards(sandbox: Sandbox, centre: Centre) -> Sandbox:
    with centre.database.read() as connection:
        cards = {each.id: each.card or "" for each in officers.everybody(connection)}
    people = [
        SandboxOfficer(each.id, each.name, cards[each.id], each.pin, each.user_code)
        for each in sandbox.officers
    ]
    return Sandbox(sandbox.folder, sandbox.port, sandbox.page_port, people)


def _register(centre: Centre) -> None:
    with centre.database.change() as change:
        found = organisations.read_organisations(_REGISTER.read_bytes())
        organisations.import_organisations(change, found, _BY)


def open_officers_cards(sandbox: Sandbox, centre: Centre) -> None:
    """Activate the officers' cards, and accept their certificates, as they would. The centre runs.

    Raises:
        ProgramMissing, ProgramFailed: xcactl cannot be used.
    """
    cards = json.loads(run(sandbox.variables, "softhsm-card", "list", "--json"))
    closed = {card["number"] for card in cards if card["state"] == "issued"}
    for officer in sandbox.officers:
        if officer.card in closed:
            activate(sandbox, officer.card, officer.user_code, officer.pin)
        accept(sandbox, centre, officer.card, officer.pin)


def activate(sandbox: Sandbox, number: str, user_code: str, pin: str) -> None:
    """Activate a card. Its certificates are accepted on the way, if the centre answers.

    Raises:
        ProgramMissing, ProgramFailed: xcactl cannot be used.
    """
    variables = sandbox.variables | {_CODES: user_code, _PIN: pin}
    sources = ("--user-code", f"env:{_CODES}", "--new-pin", f"env:{_PIN}")
    run(variables, "xcactl", "activate", "--yes", "--card", number, *sources)


def accept(sandbox: Sandbox, centre: Centre, number: str, pin: str) -> None:
    """Accept the certificates of an activated card, unless they are. The centre runs.

    Raises:
        ProgramMissing, ProgramFailed: xcactl cannot be used, or the centre refused.
    """
    with centre.database.read() as connection:
        (issued,) = certificate_sets.of_card(connection, number)
    if issued.standing.state is CertificateState.ISSUED:
        variables = sandbox.variables | {_PIN: pin}
        run(variables, "xcactl", "accept", "--yes", "--card", number, "--pin", f"env:{_PIN}")


def digits() -> str:
    """Return a new PIN."""
    return "".join(secrets.choice("0123456789") for _ in range(_PIN_DIGITS))


def _free_ports() -> Sequence[int]:
    """Return two ports that are free now."""
    with socket.create_server((HOST, 0)) as first, socket.create_server((HOST, 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]
