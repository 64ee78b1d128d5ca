# SPDX-License-Identifier: Apache-2.0
"""Words of xcactl: languages, help, slips, times, and Chinese screens without English."""

import gettext
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unicodedata import east_asian_width

import click
import pexpect
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from click.testing import CliRunner

from softhsm.commands import softhsm_card
from support.cli.xcactl import PIN, USER_CODE, Workspace
from xca_common.i18n import CATALOGUE, CHINESE, ENGLISH, language_named
from xca_plugin.cli.examples import EXAMPLES
from xca_plugin.cli.root import xcactl

CLICK_ENGLISH = (
    # Texts that only programmers and other systems see.
    "(dynamic)",
    "Argument {name!r} takes {nargs} values.",
    "Arguments take exactly",
    "Boolean option",
    "Choice({choices})",
    "Choose from:",
    "Confirm the action",
    "Could not determine name",
    "Couldn't detect Bash",
    "DeprecationWarning",
    "Do you want to continue",
    "Invalid start character",
    "Missing parameter: {param_name}",
    "Missing {param_type}",
    "Name '{name}' defined twice",
    "No options defined",
    "Press any key",
    "Repeat for confirmation",
    "Shell completion is not supported",
    "Takes {nargs} values",
    "Unknown color",
    "Unknown standard stream",
    "Value must be an iterable",
    "Windows error",
    "d",
    "deprecated",
    "unknown error",
    "{editor}",
    "{len_type} values",
    "{name} {filename!r} is a file.",
    "{name} {filename!r} is not executable.",
    "{value!r} does not match the format",
    "{value!r} is not a valid UUID",
    "{value!r} is not a valid boolean",
)
NAMES = re.compile(
    r"--?[a-z][\w-]*|XC\d+|C=TW\S*|SHA-256|[0-9a-f]{16,}|SoftHSM\w*( Virtual Reader [\d ]+)?|"
    r"PIN|DN|OID|CMS|PKCS#?\S*|PEM|DER|JSON|CRL|OCSP|RFC|AES-?\S*|XCA(_\w+)?|Enter|Ctrl-C|https?:\S+|/\S+|"
    r"\w+[.:]\w[\w.:/]*|\[\w+(\|\w+)*\]|(Auth)?EnvelopedData|PDF|PAdES|[GMK]iB|GCM|CBC|HTML|OpenSSL|\bssh\b|\.sig|Java|[Pp]ython3?|softhsm-card|"
    r"(ROOT )?CA Cert|docs|pcscd|\$\(.*\)|\"\$.*|p7s|p7m|p7e|'sgin'|eval|nat"
)
"""Names, and words that are typed as they stand."""


def english(shown: str) -> list[str]:
    """Return the English words on a Chinese screen, without names, commands and examples."""
    typed = {word for path, _ in commands(xcactl) for part in path.split() for word in part.split("-")}
    typed |= {word for lines in EXAMPLES.values() for line in lines for word in re.findall("[A-Za-z]+", line)}
    typed |= {"stdin", "pem", "der", "html", "json", "pdf", "file", "env", "bash", "fish", "zsh", "source"}
    typed |= {"ZIP", "zip", "inner", "receipt", "none"}
    return [word for word in re.findall(r"[A-Za-z]{3,}", NAMES.sub("", shown)) if word not in typed]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *(
            (name, CHINESE)
            for name in ("zh_TW", "zh-TW", "zh_TW.UTF-8", "zh-Hant-TW", "ZH_tw", "zh_HK", "zh")
        ),
        *((name, ENGLISH) for name in ("en", "en_US", "en-GB", "en_US.UTF-8", "EN")),
        *((name, None) for name in ("zh_CN", "zh-Hans", "ja", "", "C", "english")),
    ],
)
def test_language_of_a_name_is_found(name: str, language: str | None) -> None:
    assert language_named(name) == language


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--lang", "zh-TW", "--help"), "用法"),
        (("--lang=zh_TW.UTF-8", "info", "--help"), "檢視卡片"),
        (("info", "--lang", "zh-TW", "--help"), "檢視卡片"),
        (("--lang", "en_US", "--help"), "Usage"),
        (("pin", "--lang", "en", "--help"), "Change, reset"),
    ],
)
def test_language_of_any_form_and_place_is_spoken(
    closed: Workspace, arguments: tuple[str, ...], words: str
) -> None:
    result = closed.with_variables(LANG="ja_JP.UTF-8").run(*arguments)
    assert (result.status, words in result.out) == (0, True), result.out + result.err


def test_language_that_is_not_spoken_is_refused_with_those_that_are(closed: Workspace) -> None:
    result = closed.run("--lang", "zh_CN", "info")
    assert result.status == 2
    assert "zh_TW, en" in result.err


@pytest.mark.parametrize(
    ("slip", "suggestion"),
    [
        (("sgin", "x"), "sign"),
        (("inof",), "info"),
        (("pin", "chnage"), "change"),
        (("cert", "exprot"), "export"),
        (("info", "--crad", "X"), "--card"),
        (("--langg", "en", "info"), "--lang"),
        (("pin", "change", "--hlep"), "--help"),
        (("sign", "/", "--format", "pme"), "pem"),
        (("tools", "check", "Firefx"), "firefox"),
    ],
)
@pytest.mark.parametrize(("language", "words"), [("en", "Did you mean"), ("zh_TW", "您是指")])
def test_slip_in_a_command_gets_a_suggestion(
    closed: Workspace, slip: tuple[str, ...], suggestion: str, language: str, words: str
) -> None:
    result = closed.with_variables(LANGUAGE=language).run(*slip)
    assert result.status == 2
    assert re.search(f"{words}[^?？]*{suggestion}", result.err), result.err


@pytest.mark.parametrize("slip", ["--since", "--until", "--xyz"])
def test_slip_that_only_shares_its_dashes_gets_no_suggestion(closed: Workspace, slip: str) -> None:
    result = closed.run("events", slip, "2026-01-01")
    assert (result.status, f"No such option '{slip}'." in result.err) == (2, True)
    assert "Did you mean" not in result.err


@pytest.mark.parametrize("language", ["en", "zh_TW"])
@pytest.mark.parametrize(
    ("slip", "shown"),
    [
        (("info", "xc00000000091349"), "--card xc00000000091349"),
        (("pin", "verify", "XC00000000091349"), "--card XC00000000091349"),
        (("cert", "export", "ROOT", "CA", "Cert"), "'ROOT CA Cert'"),
        (("sign", "-report.pdf"), "./-report.pdf"),
    ],
)
def test_word_without_its_place_is_told_where_it_goes(
    closed: Workspace, slip: tuple[str, ...], shown: str, language: str
) -> None:
    (closed.home / "-report.pdf").write_text("report")
    result = closed.run("--lang", language, *slip)
    assert (result.status, shown in result.err) == (2, True), result.err
    assert "secret" not in result.err
    assert "密碼" not in result.err


def test_option_of_the_program_after_its_command_is_told_where_it_stands(tmp_path: Path) -> None:
    done = CliRunner().invoke(softhsm_card, ["list", "--dir", str(tmp_path)], env={"LANGUAGE": "en"})
    assert done.exit_code == 2
    assert "--dir stands before the command: softhsm-card --dir …" in done.stderr
    done = CliRunner().invoke(softhsm_card, ["list", "--dir", str(tmp_path)], env={"LANGUAGE": "zh_TW"})
    assert "--dir 要寫在子指令之前：softhsm-card --dir …" in done.stderr


def test_value_in_capitals_is_taken(closed: Workspace) -> None:
    result = closed.run("cert", "export", "--format", "PEM")
    assert result.status == 0, result.err
    assert "-----BEGIN CERTIFICATE-----" in result.out


@pytest.mark.parametrize(
    ("slip", "listed"),
    [
        (("sign", "/", "--format", "xml"), "'der'、'pem'"),
        (("sign", "/", "--timestam", "x"), "'--timestamp'、'--timestamp-request'"),
    ],
)
def test_what_click_lists_has_the_commas_of_the_language(
    closed: Workspace, slip: tuple[str, ...], listed: str
) -> None:
    result = closed.with_variables(LANGUAGE="zh_TW").run(*slip)
    assert result.status == 2
    assert listed in result.err


def commands(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        path = f"{words} {name}".strip()
        yield path, command
        if isinstance(command, click.Group):
            yield from commands(command, path)


def test_help_of_every_command_has_examples_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(commands(xcactl))
    assert set(EXAMPLES) == {"", *known}
    monkeypatch.chdir(tmp_path)
    for name in ("contract.pdf", "contract.pdf.p7s", "contract.pdf.p7m", "contract.pdf.p7e"):
        Path(name).touch()
    for name in ("root.pem", "buyer.pem", "seller.pem", "site.pem", "notice.p7m", "instrument.p7m"):
        Path(name).touch()
    for name in ("our.bid.receipt", "old.bid.receipt", "rehearsal.p7e"):
        Path(name).touch()
    for words, lines in EXAMPLES.items():
        for line in lines:
            program, *arguments = line.split()
            assert program == "xcactl"
            if words:
                assert f"xcactl {words}" in line
            read(xcactl, arguments)


def read(command: click.Command, arguments: list[str]) -> None:
    """Read the arguments as a run would, down to the last subcommand, and run nothing."""
    context = command.make_context("xcactl", arguments)
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, more = context.command.resolve_command(context, rest)
        assert found
        context = found.make_context(name, more, parent=context)


@pytest.mark.parametrize("program", [xcactl, softhsm_card], ids=lambda program: program.name)
def test_option_for_one_value_is_refused_twice_in_every_command(program: click.Group) -> None:
    tried = set()
    for words, command in (("", program), *commands(program)):
        for option in command.params:
            if isinstance(option, click.Option) and not (option.is_flag or option.multiple):
                twice = [option.opts[0], "1", option.opts[-1], "2"]
                with pytest.raises(click.UsageError, match=r"more than once|不只一次") as refused:
                    command.make_context(words, twice)
                assert option.opts[-1] in refused.value.message
                tried.add(option.name)
    assert {"lang", "user_code"} < tried


def test_option_that_stands_twice_costs_no_try(active: Workspace) -> None:
    workspace = active.with_variables(WRONG="9999999", PIN=PIN)
    result = workspace.run("pin", "verify", "--pin", "env:PIN", "--pin", "env:WRONG")
    assert result.status == 2
    assert "The option '--pin' was given more than once. Give it once." in result.err
    assert workspace.card()["pin_tries_left"] == 3
    assert workspace.run("info", "--json", "--json", "-v", "-v").status == 0


def test_command_without_a_subcommand_shows_its_help(closed: Workspace) -> None:
    result = closed.run("pin")
    assert result.status == 2
    assert "\n  change  Change the PIN" in result.err
    assert "<U+" not in result.err


def test_message_of_click_is_translated() -> None:
    folder = Path(click.__file__).parent
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}
    said = {
        message if isinstance(message, str) else message[0]
        for _, _, message, *_ in extract_from_dir(folder, [("**.py", "python")], keywords=keywords)
    }
    chinese = gettext.translation("messages", CATALOGUE.locales, [CHINESE])
    missing = {
        each for each in said if chinese.gettext(each) == each and chinese.ngettext(each, each, 2) == each
    }
    assert {each for each in missing if not each.startswith(CLICK_ENGLISH)} == set()


SCREENS = (
    ("--help",),
    ("info",),
    ("detect",),
    ("cert", "list"),
    ("cert", "show"),
    ("events",),
    ("info", "--card", "XC00000000000000"),
    ("sgin",),
    ("pin",),
    ("pin", "verify"),
    ("pin", "verify", "--pin", "env:UNSET_VARIABLE"),
    ("pin", "verify", "--pin", "file:/nowhere/pin"),
    ("activate", "--yes"),
    ("cert", "show", "cert9"),
)


@pytest.mark.parametrize("command", SCREENS, ids=" ".join)
def test_chinese_screen_has_no_english(active: Workspace, command: tuple[str, ...]) -> None:
    result = active.run("--lang", "zh_TW", *command)
    assert english(result.out + result.err) == [], result.out + result.err


def test_chinese_help_of_every_command_has_no_english(closed: Workspace) -> None:
    program = """
import gettext, os
os.environ["LANGUAGE"] = "zh_TW"
from xca_common.i18n import CATALOGUE
gettext.bindtextdomain("messages", CATALOGUE.locales)
import click
from xca_plugin.cli.root import xcactl
def show(command, context):
    print(command.get_help(context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            show(each, each.context_class(each, parent=context, info_name=name))
show(xcactl, xcactl.context_class(xcactl, info_name="xcactl"))
"""
    shown = closed.program(program).out
    assert "範例" in shown
    assert sorted(set(english(shown))) == []
    assert not re.search("[\u4e00-\u9fff]:", shown), "half-width colon after Chinese"
    wide = [line for line in shown.splitlines() if columns(line) > 80]
    assert [
        line for line in wide if not line.lstrip().startswith("xcactl")
    ] == []  # examples are copied whole


def columns(line: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in line)


def test_explanations_of_options_in_chinese_begin_in_one_column(closed: Workspace) -> None:
    lines = closed.run("--lang", "zh_TW", "sign", "--help").out.splitlines()
    options = lines[lines.index("選項：") + 1 : lines.index("  範例：") - 1]
    begins = {columns(found[0]) for line in options if (found := re.match(r"  -.*?  +(?=\S)| +", line))}
    assert len(begins) == 1, options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sign",), "缺少引數「檔案…」。"),
        (("sign", "nofile"), "檔案 'nofile' 不存在。"),
        (("agent", "run", "--port", "70000"), "70000 不是 0 到 65535 的整數。"),
        (("agent", "run", "--port", "x"), "x 不是 0 到 65535 的整數。"),
        (("encrypt", "x", "--to", "x"), "不存在。"),
    ],
)
def test_slip_in_chinese_is_told_in_chinese_alone(
    closed: Workspace, arguments: tuple[str, ...], said: str
) -> None:
    result = closed.run("--lang", "zh_TW", *arguments)
    assert result.status == 2
    assert said in result.err
    assert "錯誤：" in result.err
    assert not re.search("Error|range|<=|內容不正確", result.err)


def test_last_of_two_languages_is_spoken(closed: Workspace) -> None:
    assert "檢視卡片" in closed.run("--lang", "en", "info", "--lang", "zh_TW", "--help").out
    assert "Show a card" in closed.run("--lang", "zh_TW", "info", "--lang=en", "--help").out


@pytest.mark.parametrize(("answer", "status"), [("是", None), ("ｙ", None), ("否", 42), ("", 42)])
def test_question_in_chinese_takes_a_chinese_answer(
    closed: Workspace, answer: str, status: int | None
) -> None:
    with closed.terminal("--lang", "zh_TW", "activate") as talk:
        talk.expect_exact("[是 y／否 N]：")
        talk.sendline("也許")
        talk.expect_exact("請回答「是」（y）或「否」（n）。")
        talk.expect_exact("[是 y／否 N]：")
        talk.sendline(answer)
        if status is None:
            talk.expect_exact("用戶代碼（英文字母有大小寫區別）：")
            talk.sendintr()
    assert status in (None, talk.exitstatus)


def test_events_and_times_show_their_zone_and_no_return_value(active: Workspace) -> None:
    active.run("pin", "verify", "--pin", "stdin", stdin="wrong-99\n")
    for language, word in (("en", "wrong"), ("zh_TW", "錯誤")):
        result = active.with_variables(TZ="America/New_York").run("--lang", language, "events")
        lines = result.out.splitlines()[1:]
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+08:00 ", line) for line in lines)
        assert word in lines[-1]
        assert "CKR_" not in result.out


def test_holder_of_a_card_is_a_name_before_a_distinguished_name(active: Workspace) -> None:
    shown = active.run("info").out
    assert re.search(r"Holder +國立臺灣大學 \(secondary card\)", shown)
    assert shown.index("國立臺灣大學 (") < shown.index("C=TW,L=臺北市,O=國立臺灣大學")
    assert "C=TW" not in active.run("detect").out
    assert re.search(r"cert1 +國立臺灣大學 ", active.run("cert", "list").out)


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_command_shows_the_kind_of_an_error(active: Workspace, place: str) -> None:
    arguments = ["pin", "verify", "--pin", "stdin"]
    arguments = ["-v", *arguments] if place == "before" else [*arguments, "-v"]
    result = active.run(*arguments, stdin="wrong-99\n")
    assert result.status == 35
    assert "Kind of error: WrongPin" in result.err
    assert "PKCS#11: CKR_PIN_INCORRECT" in result.err
    assert "CKR_" not in active.run("pin", "verify", "--pin", "stdin", stdin="wrong-98\n").err


def test_terminal_shows_the_modules_log_lines_only_when_verbose(tmp_path: Path) -> None:
    nowhere = Workspace(tmp_path, tmp_path).with_variables(XCA_PKCS11_CONF=str(tmp_path / "none"))
    for arguments, is_shown in ((("info",), False), (("info", "-v"), True)):
        with nowhere.terminal(*arguments) as terminal:
            terminal.expect(pexpect.EOF)
            assert ("xca-pkcs11 error" in (terminal.before or "")) is is_shown


def test_question_ended_by_the_person_ends_its_line(closed: Workspace) -> None:
    with closed.with_variables(LANGUAGE="zh_TW").terminal("activate") as terminal:
        terminal.expect_exact("進行開卡？ [是 y／否 N]：")
        terminal.sendcontrol("d")
        terminal.expect_exact("\r\n已中止，未做任何變更。")


def test_missing_file_is_told_without_the_placeholder_of_its_argument() -> None:
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["sign", "nowhere"])
    assert (done.exit_code, "\nError: File 'nowhere' does not exist.\n" in done.stderr) == (2, True)


def test_result_for_a_descriptor_needs_a_name() -> None:
    reading, writing = os.pipe()
    try:
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["sign", f"/dev/fd/{reading}"])
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.exit_code, "say with -o where to write it" in done.stderr) == (2, True)


def test_help_shows_the_line_for_completion_whole() -> None:
    said = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["--help"]).stdout
    assert '    eval "$(_XCACTL_COMPLETE=bash_source xcactl)"' in said.splitlines()


@pytest.mark.parametrize("arguments", [("-v",), ("--lang", "en", "-v"), ("--version",)])
def test_verbose_option_alone_tells_the_version(closed: Workspace, arguments: tuple[str, ...]) -> None:
    result = closed.run(*arguments)
    assert result.status == 0
    assert "version" in result.out


def test_command_that_a_next_step_names_is_one_that_runs() -> None:
    """Every `xcactl …` in a message is a command, and its options are options of it."""
    known = dict(commands(xcactl))
    catalogue = Path(__file__).parents[2] / "xca_plugin" / "locale" / "zh_TW" / "LC_MESSAGES" / "messages.po"
    with catalogue.open("rb") as file:
        sentences = [str(each.id) for each in read_po(file, "zh_TW") if each.id]
    named = [
        words.split()
        for sentence in sentences
        for words in re.findall(r"xcactl((?: [a-z][a-z-]+| --[a-z-]+| [A-Z{}a-z.]+(?=[ ,)]|$))+)", sentence)
    ]
    assert len(named) > 20
    for words in named:
        path = words[0]
        if path not in known:
            continue  # the program's name in a sentence
        command = known[path]
        if isinstance(command, click.Group) and len(words) > 1 and f"{path} {words[1]}" in known:
            path = f"{path} {words[1]}"
            command = known[path]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words
        needs_tools = path in ("tools register", "tools unregister")
        assert not needs_tools or len(words) > 2, words


def test_certificates_of_a_card_have_the_headings_of_certificates(closed: Workspace) -> None:
    chinese = closed.with_variables(LANGUAGE="zh_TW")
    heads, *rows = chinese.run("cert", "list").out.splitlines()
    assert heads.split() == ["標籤", "憑證主體", "憑證效期"]
    assert [row.split()[0] for row in rows] == ["cert1", "cert2", "CA", "ROOT"]
    shown = chinese.run("cert", "show", "CA Cert").out
    assert "憑證主體" in shown
    assert "持有者" not in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("help",), "xcactl [OPTIONS] COMMAND"),
        (("help", "pin", "change"), "xcactl pin change [OPTIONS]"),
        (("pin", "help"), "xcactl pin [OPTIONS] COMMAND"),
    ],
)
def test_word_help_shows_the_help(closed: Workspace, arguments: tuple[str, ...], words: str) -> None:
    result = closed.run(*arguments)
    assert (result.status, words in result.out) == (0, True), result.out + result.err


@pytest.mark.parametrize("language", ["en", "zh_TW"])
def test_list_of_commands_cuts_no_sentence(closed: Workspace, language: str) -> None:
    for group in ((), ("cert",), ("agent",), ("tools",)):
        assert "..." not in closed.run("--lang", language, *group, "--help").out.replace(
            "[ARGS]...", ""
        ).replace("[引數]...", "")


def test_certificate_of_a_similar_label_is_suggested(active: Workspace) -> None:
    slips = {"Cert1": "cert1", "certt2": "cert2", "root ca cert": "'ROOT CA Cert'", "certX": "cert1, cert2"}
    for slip, label in slips.items():
        result = active.run("cert", "show", slip)
        assert result.status == 50
        assert f"Did you mean {label}?" in result.err
    assert "您是指 cert1、cert2 嗎？" in active.run("--lang", "zh_TW", "cert", "show", "certX").err
    assert "xcactl cert list" in active.run("cert", "show", "zzz").err


@pytest.mark.parametrize("pieces", [("my", "contract.txt"), ("contract.txt",)])
def test_name_with_blanks_that_is_not_quoted_gets_a_hint(closed: Workspace, pieces: tuple[str, ...]) -> None:
    (closed.home / "my contract.txt").write_text("contract")
    result = closed.run("sign", *pieces)
    assert result.status == 2
    assert "quotation marks: 'my contract.txt'" in result.err
    assert "quotation marks" not in closed.run("sign", "other.txt").err


def test_new_pin_is_asked_for_with_its_rules_before_it_is_typed(active: Workspace) -> None:
    with active.terminal("--lang", "zh_TW", "pin", "change") as talk:
        talk.expect_exact("目前的PIN碼：")
        talk.sendline(PIN)
        talk.expect_exact("PIN碼為6~8碼的半形英文字母")
        talk.expect_exact("連號（123456）")
        talk.expect_exact("新的PIN碼")
        talk.sendintr()


def test_card_of_several_is_named_in_the_example_after_its_activation(two_cards: Workspace) -> None:
    numbers = sorted(path.name for path in (two_cards.path / "issuer").iterdir())
    arguments = ("activate", "--yes", "--card", numbers[0], "--user-code", "stdin", "--new-pin", "stdin")
    result = two_cards.run(*arguments, stdin=f"{USER_CODE}\n{PIN}\n")
    assert f"xcactl sign --card {numbers[0]} FILE" in result.out


def test_doctor_looks_at_the_card_that_is_named(two_cards: Workspace) -> None:
    numbers = sorted(path.name for path in (two_cards.path / "issuer").iterdir())
    every = two_cards.run("doctor")
    assert all(f"State of the card, {number}" in every.err for number in numbers)
    one = two_cards.run("doctor", "--card", numbers[0].lower())
    assert "Not in order: State of the card." in one.err or "State of the card" in one.err
    assert numbers[1] not in one.out
    assert (
        "The card XC00000000000000 is not here." in two_cards.run("doctor", "--card", "XC00000000000000").out
    )


def test_sentences_in_chinese_are_joined_without_a_blank(active: Workspace) -> None:
    shown = active.run("--lang", "zh_TW", "pin", "chnage").err
    assert "沒有指令 'chnage'。（您是指：'change'？）" in shown
    result = active.run(
        "--lang", "zh_TW", "pin", "change", "--pin", "stdin", "--new-pin", "stdin", stdin=f"{PIN}\n{PIN}\n"
    )
    assert "不接受這個新的PIN碼。與目前的PIN碼相同。" in result.err


def test_command_of_a_tool_has_chinese_words_to_fill_in(active: Workspace) -> None:
    shown = active.run("--lang", "zh_TW", "tools", "list").out
    assert "ssh" in shown
    assert not re.search(r"(?<![\w/])(NUMBER|FILE|HOST|URL|IN|OUT)(?![\w/])", shown)


def test_tool_of_a_similar_name_is_suggested(closed: Workspace) -> None:
    result = closed.run("tools", "register", "Firefx")
    assert result.status == 2
    assert "Did you mean firefox?" in result.err


def test_names_of_tools_and_all_of_them_are_one_too_many(closed: Workspace) -> None:
    result = closed.run("tools", "register", "curl", "--all")
    assert result.status == 2
    assert "Give either the names of tools or --all." in result.err


def test_folder_for_a_file_is_told_in_chinese_as_what_it_is(closed: Workspace) -> None:
    result = closed.with_variables(LANGUAGE="zh_TW").run("cert", "export", "-o", "/tmp")
    assert result.status == 2
    assert "/tmp 是資料夾；請改為指定該資料夾中的檔案。" in result.err
