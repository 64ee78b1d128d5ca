# SPDX-License-Identifier: Apache-2.0
"""The class table: every situation has its status, its words in both languages, and a line in docs/cli.md."""

import errno
import re
import socket
import ssl
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

from support.errors import with_facts
from xca_common.errors import FileError, XcaError, os_reason
from xca_common.i18n import CHINESE, ENGLISH, Text, speaking
from xca_plugin import errors
from xca_plugin.errors import SecretMissing
from xca_plugin.i18n import text
from xca_plugin.terminal.exit_statuses import EXIT_STATUSES, exit_status
from xca_plugin.terminal.next_steps import NEXT_STEPS, next_step, step_after

SITUATIONS = list(EXIT_STATUSES)
OF_A_FRONT_END = re.compile(
    r"\b(xcactl (?!tools: )|softhsm-card|sudo|apt |pip install|systemctl)|--[a-z]|\d{2}-\d{4}-\d{4}"
)
KEYWORDS = {"_": None, "text": None, "plural": (1, 2)}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_situation_of_every_class_says_what_happened_and_what_to_do(situation: type[XcaError]) -> None:
    error = with_facts(situation)
    for say in (error.message, error.next_step):
        english, chinese = say(ENGLISH), say(CHINESE)
        assert re.search("[a-z]{2}", english)
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert english != chinese
        assert not re.search(r"\{\w+\}", english + chinese)
    assert str(error) == f"{error.message(ENGLISH)} {error.next_step(ENGLISH)}"


def situations_of_the_library() -> list[type[XcaError]]:
    """Return every class that a person can meet, of the card's side."""
    kinds = [XcaError]
    for kind in kinds:
        kinds += [
            below
            for below in kind.__subclasses__()
            if below.__module__.startswith(("xca_common", "xca_plugin"))
            and below.__module__ != "xca_common.card_making"  # between a centre and who makes its cards
        ]
    return [kind for kind in kinds if hasattr(kind, "_message")]


def test_situation_of_every_class_has_a_status_of_its_own() -> None:
    assert set(situations_of_the_library()) == set(EXIT_STATUSES)
    statuses = list(EXIT_STATUSES.values())
    assert len(set(statuses)) == len(statuses)
    assert all(2 < status < 126 for status in statuses)


@pytest.mark.parametrize("situation", situations_of_the_library())
def test_next_step_of_the_library_names_no_command_and_no_telephone(situation: type[XcaError]) -> None:
    error = with_facts(situation)
    for language in (ENGLISH, CHINESE):
        said = f"{error.message(language)} {error.next_step(language)}"
        assert not OF_A_FRONT_END.search(said.replace("xca-plugin", "")), said
    assert not hasattr(situation, "exit_status")


def test_sentences_of_the_library_name_no_command_and_no_telephone() -> None:
    said = set()
    for package in ("xca_common", "xca_plugin"):
        folder = Path(__file__).parents[2] / package
        if not (folder / "errors.py").exists():
            (folder,) = Path(__file__).parents[2].glob(f"*/{package}")
        for name, _, message, *_ in extract_from_dir(folder, [("**.py", "python")], keywords=KEYWORDS):
            if not name.startswith(("cli/", "agent/", "terminal/", "pdf.py")):
                said |= {message} if isinstance(message, str) else set(message)
    assert len(said) > 200
    assert not {sentence for sentence in said if OF_A_FRONT_END.search(sentence)}


@pytest.mark.parametrize("situation", situations_of_the_library())
def test_command_line_has_a_next_step_for_every_situation(situation: type[XcaError]) -> None:
    error = with_facts(situation)
    with speaking(ENGLISH):
        said = step_after(error)
        assert (said == error.next_step()) is (situation not in NEXT_STEPS)
        # The issuer's command needs the card's number.
        assert next_step(error).replace(" '<number>'", "") == said


def test_class_of_a_plugin_has_its_own_next_step_in_the_command_line() -> None:
    class Worn(errors.PinLocked):
        _next_step = text("Start it.")

    assert next_step(Worn(number="XC00000000091349")) == "Start it."
    assert exit_status(Worn(number="XC00000000091349")) == EXIT_STATUSES[errors.PinLocked]


def test_module_of_errors_holds_its_own_classes_alone() -> None:
    shared = {
        name for name, kind in vars(errors).items() if getattr(kind, "__module__", "") == "xca_common.errors"
    }
    assert shared == {"FileError", "XcaError"}  # what they are made of


def test_situation_of_every_class_is_of_one_family() -> None:
    families = (
        errors.CardError,
        FileError,
        errors.CmsError,
        errors.ToolError,
        errors.AgentError,
        errors.CentreError,
    )
    of_none = {each for each in SITUATIONS if sum(issubclass(each, family) for family in families) != 1}
    assert of_none == {SecretMissing, errors.NotInOrder}


def test_error_without_a_fact_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="number"):
        errors.PinLocked()  # type: ignore[call-arg]


def test_fact_of_an_error_can_be_read() -> None:
    assert errors.PinLocked(number="XC00000000091349").number == "XC00000000091349"


def test_cli_page_read_whole_lists_every_exit_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| (\d+) \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    assert documented == [
        (
            str(status),
            situation.__name__,
            value.name if (value := getattr(situation, "return_value", None)) else "–",
        )
        for situation, status in sorted(EXIT_STATUSES.items(), key=lambda item: item[1])
    ]


@pytest.mark.parametrize("situation", [errors.WrongPin, errors.WrongUserCode])
def test_tries_left_are_said_or_said_to_be_unknown(
    situation: type[errors.WrongPin] | type[errors.WrongUserCode],
) -> None:
    assert "2 tries are left" in situation(tries_left=2).message(ENGLISH)
    assert "1 try is left" in situation(tries_left=1).message(ENGLISH)
    assert "還可再試1次" in situation(tries_left=1).message(CHINESE)
    unknown = situation(tries_left=None)
    assert unknown.tries_left is None
    assert "does not say" in unknown.message(ENGLISH)
    assert not re.search(r"\d", unknown.message(ENGLISH))


def test_reasons_of_plugins_are_said_in_the_language() -> None:
    error = errors.PinRefused(reasons=[text("All its characters are the same."), "Because."])
    assert error.message(CHINESE) == "不接受這個新的PIN碼。所有字元都相同。Because."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "查無此主機名稱"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "暫時無法查詢主機名稱（請確認網路連線）"),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), "無法查詢主機名稱"),
        # Its number is 1, as that of "Operation not permitted".
        (ssl.SSLCertVerificationError(1, "self-signed"), "這部電腦不信任其 TLS 連線的憑證"),
        (ssl.SSLError(1, "wrong version number"), "TLS 連線失敗"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "連線遭拒"),
    ],
    ids=repr,
)
def test_reason_of_a_failed_connection_is_its_own_and_in_the_language(error: OSError, said: str) -> None:
    reason = os_reason(error)
    assert isinstance(reason, Text)
    assert reason(CHINESE) == said
