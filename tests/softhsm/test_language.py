# SPDX-License-Identifier: Apache-2.0
"""softhsm-card speaks English and Traditional Chinese."""

import os
import re
import subprocess
import sys
from pathlib import Path
from unicodedata import east_asian_width

import pytest

from support.softhsm.softhsm_card import USER_CODE, Issuer

COMMANDS = ("", "init", "issue", "list", "env", "repair", "reset-user-code", "revoke", "remove")
ENGLISH = re.compile(r"\b(?:Usage|Options|Commands|default|Error|Next|Issue|Show|The|Print|TEXT|INTEGER)\b")


def say(path: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "softhsm.cli", "--dir", str(path), *arguments],
        env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "80", **variables},
        input="",
        capture_output=True,
        text=True,
        cwd="/",  # the installed package, which has its catalogue compiled
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_in_chinese_has_no_english_and_fits_a_terminal(tmp_path: Path, command: str) -> None:
    status, said = say(tmp_path / "none", "--lang", "zh_TW", *command.split(), "--help")
    assert status == 0
    assert ENGLISH.search(said) is None, said
    assert "用法" in said
    for line in said.splitlines():
        assert sum(2 if east_asian_width(sign) in "WF" else 1 for sign in line) <= 80, line


def test_locale_chooses_the_language_and_the_option_overrides_it(tmp_path: Path) -> None:
    assert "發卡單位" in say(tmp_path, "--help", LANGUAGE="zh_TW")[1]
    assert "Issue organisation IC cards" in say(tmp_path, "--lang", "en", "--help", LANGUAGE="zh_TW")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("repair", "NOPE"), 3, "這裡沒有卡片 NOPE"),
        (("issue", "--user-code", "env:CODE", "--number", "x\x1b"), 2, "x<U+001B>"),
        (("issue", "--user-code", "env:CODE", "--holder", "nobody"), 2, "不是名稱"),
        (("issue", "--user-code", "env:CODE", "--count", "0"), 2, "0 不是 1 以上的整數。"),
        (("issue", "--user-code", "env:SHORT"), 2, "用戶代碼須為6至10個字元"),
        (("list",), 0, "卡號"),
        (("revoke", "{number}", "--reason", "whim"), 2, "須為下列之一"),
    ],
)
def test_message_in_chinese_is_chinese(
    shared_issuer: Issuer, arguments: tuple[str, ...], status: int, said: str
) -> None:
    number = shared_issuer.issue()["number"] if {"list", "revoke"} & set(arguments) else ""
    given = [each.format(number=number) for each in arguments]
    found, shown = say(shared_issuer.path, "--lang", "zh_TW", *given, CODE="Tw-7iJk#q", SHORT="abc")
    assert (found, said in shown) == (status, True), shown
    assert ENGLISH.search(shown) is None, shown


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--issue-date", "2026-13-01", "2026-13-01 不是 YYYY-MM-DD 形式的日期。"),
        ("--years", "200", "須至少 1 年"),
        ("--email", "nobody", "電子郵件 'nobody' 不是地址"),
        ("--organisation-oid", "1.x", "OID '1.x' 不是物件識別碼"),
    ],
)
def test_refused_value_is_told_in_chinese(shared_issuer: Issuer, option: str, value: str, words: str) -> None:
    arguments = ["--lang", "zh_TW", "issue", "--user-code", "env:CODE", option, value]
    status, said = say(shared_issuer.path, *arguments, CODE=USER_CODE)
    assert (status, words in said) == (2, True), said


def test_commands_in_messages_name_the_folder_that_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "my cards"
    status, said = say(folder, "list")
    assert (status, f"softhsm-card --dir '{folder}' init" in said) == (1, True), said


def test_help_lists_the_commands_in_the_order_of_their_use(tmp_path: Path) -> None:
    said = say(tmp_path, "--help")[1]
    assert re.findall(r"^  ([a-z][a-z-]+) {2,}", said, re.MULTILINE)[:4] == ["init", "issue", "list", "env"]


def test_user_code_in_the_place_of_its_source_is_not_repeated(shared_issuer: Issuer) -> None:
    status, shown = say(shared_issuer.path, "issue", "--user-code", "Zx81!kq0")
    assert status == 2
    assert "Zx81" not in shown
    assert "history of the shell" in shown


def test_removal_takes_a_chinese_answer(shared_issuer: Issuer) -> None:
    number = shared_issuer.issue()["number"]
    done = subprocess.run(
        shared_issuer.command("--lang", "zh_TW", "remove", number),
        input="是\n".encode(),
        capture_output=True,
        env={**os.environ, "PYTHONUTF8": "1"},
        cwd="/",
    )
    assert (done.returncode, f"已移除 {number}。" in done.stdout.decode()) == (0, True), done.stderr
