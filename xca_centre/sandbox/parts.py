# SPDX-License-Identifier: Apache-2.0
"""The programs of a running sandbox: the centre's web server, its worker, the holder's local component."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final
from urllib.request import ProxyHandler, build_opener

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from xca_centre.sandbox.setting_up import Sandbox
from xca_login.demo.programs import Component, found, said_in
from xca_login.errors import ProgramFailed

_SECONDS: Final = 60.0
"""How long the centre may take until it answers."""
_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
_WITHOUT_PROXY: Final = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class _Program:
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None


class Parts:
    """What runs.

    Attributes:
        component: the address of the local component; "": it does not run.
    """

    def __init__(self, component: str, programs: Sequence[_Program]) -> None:
        self.component: Final = component
        self._programs = programs

    @classmethod
    @contextmanager
    def running(cls, sandbox: Sandbox, *, with_component: bool = True) -> "Iterator[Parts]":
        """Run all of them until the end of the block.

        Args:
            sandbox: whose.
            with_component: also the local component.

        Raises:
            ProgramMissing, ProgramFailed: one cannot be run.
        """
        folder, variables = sandbox.folder, sandbox.variables
        _write_client_settings(sandbox)
        with ExitStack() as stack:
            address = ""
            if with_component:
                running = Component.running(variables, folder, sandbox.origin)
                address = stack.enter_context(running).address
                sandbox.write_settings(address)
            own = ["--dir", str(folder)]
            programs = [
                stack.enter_context(_started(variables, folder, "xca-centre", [*own, *words]))
                for words in (["serve", "--port", str(sandbox.port)], ["worker"])
            ]
            parts = cls(address, programs)
            parts._wait_for(sandbox.origin)
            yield parts

    def _wait_for(self, origin: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            self.require_running()
            try:
                with _WITHOUT_PROXY.open(f"{origin}/", timeout=_SECONDS):
                    return
            except OSError:
                time.sleep(_LOOK_SECONDS / 5)
        raise ProgramFailed(name="xca-centre serve", detail=said_in(self._programs[0].log))

    def require_running(self) -> None:
        """See that none has ended.

        Raises:
            ProgramFailed: one has.
        """
        for program in self._programs:
            if program.has_ended:
                raise ProgramFailed(name=program.name, detail=said_in(program.log))

    @contextmanager
    def ending(self, end: Callable[[], object]) -> Iterator[None]:
        """Have `end` called when one has ended, as long as the block lasts."""
        is_over = Event()

        def watch() -> None:
            while not is_over.wait(_LOOK_SECONDS):
                if any(program.has_ended for program in self._programs):
                    end()

        thread = Thread(target=watch, name="sandbox", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


@contextmanager
def _started(
    variables: Mapping[str, str], folder: Path, name: str, arguments: Sequence[str]
) -> Iterator[_Program]:
    what = arguments[2]
    path = folder / f"{what}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # a program of this package
            [found(name), *arguments],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,  # Ctrl-C reaches the sandbox alone, which then ends its parts
        )
    try:
        yield _Program(f"{name} {what}", process, path)
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_client_settings(sandbox: Sandbox) -> None:
    """Tell xcactl and its agent which centre the cards are from."""
    own = Path(sandbox.variables["XDG_CONFIG_HOME"]) / "xca"
    own.mkdir(parents=True, exist_ok=True)
    issuers = [
        x509.load_der_x509_certificate(path.read_bytes())
        for path in sorted((sandbox.folder / "ca").glob("issuer-*.cer"))
    ]
    (own / "issuers.p7b").write_bytes(pkcs7.serialize_certificates(issuers, Encoding.DER))
    (own / "centre.conf").write_text(
        f"[centre]\nurl = {sandbox.origin}\nissuer = issuers.p7b\n", encoding="ascii"
    )
