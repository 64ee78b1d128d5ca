# SPDX-License-Identifier: Apache-2.0
"""A process that has loaded one PKCS#11 module and carries out the commands of host.py.

Usage: host_driver.py MODULE, with the folder tests in PYTHONPATH. Commands come as JSON lines on standard
input, answers leave the same way on standard output. An argument of a call is a number, null (a NULL
pointer), or an object with one key, see `_Argument`.
"""

import ctypes
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from support.module.cryptoki import (
    FUNCTIONS_2_40,
    FUNCTIONS_3_0,
    Attribute,
    FunctionList,
    Interface,
    Mechanism,
)

_UNTOUCHED = 0xAA
"""The byte that fills a buffer before a call: it shows which bytes the module did not write."""


class _Argument:
    """One C argument, and what the module left in it."""

    def __init__(self, encoded: Any) -> None:
        self.value: Any
        self.read: Callable[[], Any] | None = None
        if encoded is None:
            self.value = ctypes.c_void_p(None)
        elif isinstance(encoded, int):
            self.value = ctypes.c_ulong(encoded)
        else:
            ((kind, content),) = encoded.items()
            self.value = getattr(self, f"_{kind}")(content)

    def _bytes(self, content: str) -> Any:
        data = bytes.fromhex(content)
        return (ctypes.c_ubyte * max(len(data), 1)).from_buffer_copy(data or b"\0")

    def _room(self, size: int) -> Any:
        room = (ctypes.c_ubyte * size)(*[_UNTOUCHED] * size)
        self.read = lambda: bytes(room).hex()
        return room

    def _ulong(self, number: int) -> Any:
        cell = ctypes.c_ulong(number)
        self.read = lambda: cell.value
        return ctypes.byref(cell)

    def _mechanism(self, content: tuple[int, str]) -> Any:
        kind, parameter = content
        self._parameter = self._bytes(parameter)
        size = len(parameter) // 2
        pointer = ctypes.cast(self._parameter, ctypes.c_void_p) if size else None
        return ctypes.byref(Mechanism(kind, pointer, size))

    def _template(self, content: list[tuple[int, str | int | None]]) -> Any:
        # A value: hexadecimal bytes; a number: room of that size; null: a NULL pointer.
        rooms = [
            None if value is None else self._bytes(value if isinstance(value, str) else "aa" * value)
            for _, value in content
        ]
        attributes = (Attribute * len(content))()
        for attribute, (kind, value), room in zip(attributes, content, rooms, strict=True):
            size = len(value) // 2 if isinstance(value, str) else value or 0
            attribute.type, attribute.ulValueLen = kind, size
            attribute.pValue = None if room is None else ctypes.cast(room, ctypes.c_void_p)
        self.read = lambda: [
            [attribute.ulValueLen, None if room is None else bytes(room).hex()]
            for attribute, room in zip(attributes, rooms, strict=True)
        ]
        self._rooms = rooms
        return attributes


def _invoke(address: int | None, arguments: list[Any]) -> dict[str, Any]:
    if not address:
        return {"rv": None, "out": []}
    values = [_Argument(argument) for argument in arguments]
    types = [
        type(value.value) if isinstance(value.value, ctypes.c_ulong) else ctypes.c_void_p for value in values
    ]
    function = ctypes.CFUNCTYPE(ctypes.c_ulong, *types)(address)
    pointers = [
        value.value if isinstance(value.value, ctypes.c_ulong) else ctypes.cast(value.value, ctypes.c_void_p)
        for value in values
    ]
    answer = function(*pointers)
    return {"rv": answer, "out": [value.read() for value in values if value.read]}


class Driver:
    def __init__(self, module: str) -> None:
        self._library = ctypes.CDLL(module)
        self._list: FunctionList | None = None
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def do_load(self) -> dict[str, Any]:
        """Take the function list that the module's C_GetFunctionList gives."""
        answer = self.do_symbol("C_GetFunctionList", [{"ulong": 0}])
        if answer["rv"] == 0:
            self.do_use(answer["out"][0])
        return answer

    def do_use(self, address: int) -> list[int]:
        """Take the function list at an address; answers its version."""
        self._list = FunctionList.from_address(address)
        return [self._list.version.major, self._list.version.minor]

    def do_call(self, name: str, arguments: list[Any]) -> dict[str, Any]:
        """Call an entry of the list in use."""
        assert self._list is not None
        return _invoke(self._list.functions[FUNCTIONS_3_0.index(name)], arguments)

    def do_repeat(self, times: int, name: str, arguments: list[Any]) -> dict[str, Any]:
        """Call an entry again and again; answers the last answer, or the first that is not CKR_OK."""
        for _ in range(times):
            answer = self.do_call(name, arguments)
            if answer["rv"] != 0:
                break
        return answer

    def do_symbol(self, name: str, arguments: list[Any]) -> dict[str, Any]:
        """Call an exported symbol."""
        address = ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value
        return _invoke(address, arguments)

    def do_symbol_address(self, name: str) -> int | None:
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value

    def do_interface(self, address: int) -> dict[str, Any]:
        """Read the CK_INTERFACE at an address."""
        interface = Interface.from_address(address)
        return {
            "name": interface.pInterfaceName.decode(),
            "list": interface.pFunctionList,
            "flags": interface.flags,
        }

    def do_entries(self, address: int | None, count: int) -> list[int | None]:
        """Answer the addresses that a list holds, the list in use by default."""
        which = FunctionList.from_address(address) if address else self._list
        assert which is not None
        return list(which.functions[:count])

    def do_beside(self, module: str) -> int | None:
        """Load another module into this process; answers the address of its function list."""
        library = ctypes.CDLL(module)
        cell = ctypes.c_void_p()
        assert library.C_GetFunctionList(ctypes.byref(cell)) == 0
        return cell.value

    def do_environment(self, name: str) -> str | None:
        """Answer what getenv(3) says now: os.environ is only a copy."""
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        value = getenv(name.encode())
        return None if value is None else value.decode()

    def do_file_size_limit(self, size: int) -> None:
        """Let no file grow beyond a size, as a full disk does (Python ignores SIGXFSZ)."""
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def do_threads(self, calls: list[Any]) -> list[Any]:
        """Make every call in a thread of its own, all at once."""
        answers: list[Any] = [None] * len(calls)
        together = threading.Barrier(len(calls))

        def run(index: int) -> None:
            together.wait()
            answers[index] = self.do_call(*calls[index])

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def do_start(self, call: list[Any]) -> None:
        """Make a call in a thread and do not wait for it."""

        def run() -> None:
            self._answers.put(self.do_call(*call))

        threading.Thread(target=run, daemon=True).start()

    def do_finish(self) -> dict[str, Any]:
        """Wait until a call that was started is over; answers its answer."""
        return self._answers.get()

    def do_exec(self) -> None:
        """Replace this process by a new one of the same program (execve(2)); the new one answers."""
        os.execv(sys.executable, [sys.executable, "-S", *sys.argv, "after exec"])

    def do_fork(self, calls: list[Any]) -> list[Any]:
        """Make the calls, one after the other, in a forked child."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(writing, "w") as answers:
                answers.write(json.dumps([self.do_call(*call) for call in calls]))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as result:
            text = result.read()
        os.waitpid(child, 0)
        return list(json.loads(text))


def main() -> None:
    driver = Driver(sys.argv[1])
    if sys.argv[2:]:
        print("null", flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(driver, f"do_{command}")(*arguments)), flush=True)


if __name__ == "__main__":
    assert len(FUNCTIONS_2_40) == 68
    assert len(FUNCTIONS_3_0) == 92
    main()
