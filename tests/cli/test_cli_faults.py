# SPDX-License-Identifier: Apache-2.0
"""Each writing call of each command fails once: the error names the file, and no part of a file is left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli.xcactl import PIN, Workspace

pytestmark = pytest.mark.slow

KINDS = ("open", "write", "fsync", "rename", "close", "print")
MOST_CALLS = 40
# One process imports all, and forks for each fault: starting Python is slower than a command.
SERVER = """
import ctypes, errno, json, os, sys, traceback
from pathlib import Path
import xca_plugin.cli.root, xca_plugin.cli.signatures, xca_plugin.cli.encryption, xca_plugin.cli.certificates
import xca_plugin.cli.reading, xca_plugin.cli.doctor, xca_plugin.cms, xca_plugin.enveloped, xca_plugin.hicos
from xca_plugin.cli import main
faults = ctypes.CDLL(None)
for line in sys.stdin:
    request = json.loads(line)
    if not (child := os.fork()):
        os.dup2(os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["xcactl", *request["arguments"]]
        status = 0
        faults.fault_arm(request["kind"].encode(), request["nth"], errno.ENOSPC)
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
            status = 250
        hit = ctypes.c_int.in_dll(faults, "fault_hit").value
        faults.fault_arm(b"", 0, 0)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(99 if not hit else status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
COMMANDS: dict[str, tuple[list[str], str | None]] = {
    "sign": (["sign", "file", "-o", "result", "--pin", "env:PIN"], "result"),
    "sign --attached": (["sign", "file", "--attached", "-o", "result", "--pin", "env:PIN"], "result"),
    "sign several": (["sign", "file", "other", "--pin", "env:PIN"], None),
    "encrypt": (["encrypt", "file", "--to", "cert2.pem", "-o", "result"], "result"),
    "decrypt": (["decrypt", "file.p7e", "-o", "result", "--pin", "env:PIN"], "result"),
    "cert export": (["cert", "export", "-o", "result"], "result"),
    "cert list": (["cert", "list"], None),
    "info": (["info"], None),
    "info --json": (["info", "--json"], None),
    "events": (["events"], None),
    "detect": (["detect"], None),
    "pin verify": (["pin", "verify", "--pin", "env:PIN"], None),
    "help": (["--help"], None),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parent / "native" / "faults.c"
    built = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-fPIC", "-shared", source, "-o", built], check=True)
    return built


@pytest.mark.parametrize("name", COMMANDS)
def test_call_that_fails_is_the_problem_of_a_named_file(
    activated: Workspace, tmp_path: Path, library: Path, name: str
) -> None:
    workspace = activated.copy(tmp_path / "desk").with_variables(PIN=PIN, LANGUAGE="en")
    folder = workspace.home
    for file in ("file", "other"):
        (folder / file).write_bytes(file.encode())
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", "file", "--to", "cert2.pem").status == 0
    arguments, result = COMMANDS[name]
    out, err = tmp_path / "out", tmp_path / "err"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=folder,
        env={**workspace.environment, "LD_PRELOAD": str(library)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    hits = 0
    with server:
        for kind in KINDS:
            for nth in range(1, MOST_CALLS):
                for left in (*folder.glob("*.p7s"), folder / "result"):
                    left.unlink(missing_ok=True)
                request = {"arguments": arguments, "kind": kind, "nth": nth, "out": str(out), "err": str(err)}
                print(json.dumps(request), file=server.stdin, flush=True)
                status = int(server.stdout.readline())
                said = out.read_text() + err.read_text()
                where = f"{kind} {nth}: {status}\n{said}"
                for word in ("Unexpected problem", "Traceback", "Exception ignored", "OSError"):
                    assert word not in said, where
                if status == 99:
                    break
                hits += 1
                assert status in (0, *range(10, 100)), where
                if status:
                    assert "Error: " in said, where
                if result:
                    assert (folder / result).exists() == (status == 0), where
                assert not list(folder.glob(".xca-*")), where
        server.stdin.close()
    assert hits > 0
