# SPDX-License-Identifier: Apache-2.0
"""The loop of a process that imports a program once, and forks for each fault: starting Python is slow."""

import ctypes
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

Request = dict[str, Any]
Run = Callable[[Request, Callable[[], None], Callable[[], None]], int]
"""Runs the program, and returns its exit status: of a request, a function that arms the fault, and one that
takes it away."""

NOT_REACHED: Final = 99
"""The exit status, if the program made fewer calls of the kind."""


def serve(run: Run) -> None:
    """Answer each request on the standard input, a line of JSON, with the status of a child that ran it."""
    gc.collect()
    gc.freeze()  # a child copies no page only because the collector counts in it
    for line in sys.stdin:
        request = json.loads(line)
        if not (child := os.fork()):
            _child(run, request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _child(run: Run, request: Request) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    faults = ctypes.CDLL(None)

    hit, status = False, 250

    def arm() -> None:
        faults.fault_arm(request["kind"].encode(), request["nth"], request["error"])

    def disarm() -> None:
        nonlocal hit
        hit = hit or bool(ctypes.c_int.in_dll(faults, "fault_hit").value)
        faults.fault_arm(b"", 0, 0)

    try:
        status = run(request, arm, disarm)
    except BaseException:
        traceback.print_exc()
    disarm()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(NOT_REACHED if request["kind"] and not hit else status)
