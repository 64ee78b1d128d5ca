# SPDX-License-Identifier: Apache-2.0
"""Types a document's commands as a person does: python3 type_commands.py DOCUMENT WORD [ANSWER...]

DOCUMENT has one block of lines "$ COMMAND" with WORD in it. They are typed into a new terminal. Each
question gets the next ANSWER; apt's own ("[Y/n]") get a yes. Ends with a status other than 0 when a command
fails, when a question has no answer, when an answer is left, or when nothing was said for five minutes. It
takes no more than Python, because the minimal systems in which tests/distributions.sh runs it have no more.
"""

import os
import pty
import re
import select
import sys
from pathlib import Path

QUESTION = re.compile(r"[:：] ?\Z")
QUIET, PATIENCE = 1, 300
"""Seconds: after them, what was said last is a question; after them, nothing more is expected."""


def commands(document: Path, word: str) -> list[str]:
    blocks = re.findall(r"(?:^ {4}\$ .*\n)+", document.read_text("utf-8"), re.MULTILINE)
    (block,) = (each for each in blocks if word in each)
    return re.findall(r"^ {4}\$ (.*)$", block, re.MULTILINE)


def talk(program: list[str], answers: list[str]) -> int:
    """Run a program in a terminal, show what it says, and answer; return its exit status."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(program[0], program)
    line, waited = "", 0
    while True:
        if select.select([terminal], [], [], QUIET)[0]:
            try:
                said = os.read(terminal, 4096)
            except OSError:  # EIO: the terminal's last process ended
                break
            os.write(1, said)
            line, waited = (line + said.decode("utf-8", "replace"))[-200:], 0
        elif line.endswith("[Y/n] "):
            os.write(terminal, b"y\n")
            line = ""
        elif QUESTION.search(line):
            if not answers:
                sys.exit(f"No answer to: {line}")
            os.write(terminal, f"{answers.pop(0)}\n".encode())
            line = ""
        elif (waited := waited + QUIET) > PATIENCE:
            sys.exit("Nothing happens.")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 1 if answers and status == 0 else status


if __name__ == "__main__":
    typed = commands(Path(sys.argv[1]), sys.argv[2])
    print(*(f"$ {each}" for each in typed), sep="\n", flush=True)
    # Interactive, for what a new terminal reads: ~/.bashrc.
    sys.exit(talk(["bash", "-ic", "\n".join(["set -e", *typed])], sys.argv[3:]))
