# SPDX-License-Identifier: Apache-2.0
"""What the module costs per call: direct, direct again as control, through it, and through other wrappers.

Usage: sh tests/bench/run.sh, which runs this and commands.py. The plot is written to docs/benchmark.svg.

Every column runs in processes of its own, in rounds of rotating order. A difference that lies within the
control's quartiles is no difference. The wrappers of OpenSC (pkcs11-spy) and p11-kit (p11-kit-proxy) are
measured where they are installed; the proxy sees the card through its own entry for SoftHSM.

What the module's differences pay for:

- cold start: one more library, the configuration, the lock file and the store's generation;
- C_GetTokenInfo of a card: two stat(2) calls, which tell whether the store or its lock file has changed since
  this thread last read them; only after a change the lock is taken and the card's row read;
- C_OpenSession and C_CloseSession: C_CloseSession enters and leaves the list of calls under way (two turns of
  an uncontended mutex), so that no session is closed in the middle of a decision on it;
- C_Login: two durable writes of the card's record, before and after the inner module is asked, and the locks
  of both files;
- every other call is the inner module's own function.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure

from bench.measuring import closed_card, paired, ratio, rounds
from pkcs11_shim import module_path, rules
from support.module import compiling
from support.module.cards import PIN, PLAIN, Card

LOGINS = 10
SYNCS = "fsync,fdatasync,sync,syncfs,sync_file_range,msync"
BLOCK = 4096
CROWD_LOGINS, READERS = 500, 8
STARTS = 150
"""Rounds of the cold start, which a process makes only once."""
PLOT = Path(__file__).parents[2] / "docs" / "benchmark.svg"
Rows = dict[str, Callable[[], dict[str, float]]]
Results = dict[str, dict[str, list[float]]]
"""Nanoseconds a call: by column, by row, round by round."""
LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def client(folder: Path) -> Path:
    """Compile the program that makes the calls."""
    return compiling.program(folder / "client", [Path(__file__).with_name("client.c")], "-O2")


def installed(name: str) -> Path | None:
    """Find a library by its name."""
    found = (file for folder in LIBRARY_FOLDERS for file in Path(folder).glob(f"**/{name}"))
    return next(found, None)


class Column:
    """One way to the card."""

    def __init__(self, program: Path, module: Path, label: str, environment: dict[str, str]) -> None:
        self.command = [str(program), str(module), label, PLAIN]
        self.environment = os.environ | environment

    def run(self) -> dict[str, float]:
        """Make every call many times; returns nanoseconds a call, by row."""
        return self._rows(self.command)

    def start(self) -> dict[str, float]:
        """Start and end; returns the nanoseconds of the cold start, by row."""
        return self._rows([*self.command, "0"])

    def works(self) -> bool:
        try:
            self.run()
        except subprocess.CalledProcessError as failure:
            print(f"left out, {self.command[1]}: {failure.stderr.strip()}")
            return False
        return True

    def syncs_per_login(self) -> float:
        """Count what waits for the disk in one login and logout."""
        with TemporaryDirectory() as folder:
            trace = Path(folder) / "trace"
            strace = ["strace", "-f", "-e", f"trace={SYNCS}", "-o", str(trace)]
            counts = []
            for logins in (0, LOGINS):
                self._output([*strace, *self.command, str(logins)])
                counts.append(len(re.findall(r"sync\w*\(", trace.read_text())))
        return (counts[1] - counts[0]) / LOGINS

    def logins(self) -> list[float]:
        """Time logins, in nanoseconds."""
        lines = self._output([*self.command, str(CROWD_LOGINS)]).splitlines()
        return [float(line.split()[1]) for line in lines if line.startswith("C_Login ")]

    @contextmanager
    def readers(self) -> Iterator[list[float]]:
        """Let processes call C_GetTokenInfo all the time; afterwards the list has each one's longest call."""
        longest: list[float] = []
        processes = [
            subprocess.Popen(
                [*self.command, "look"],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(READERS)
        ]
        for process in processes:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{PIN}\n")
            process.stdin.flush()
            process.stdout.readline()
        yield longest
        for process in processes:
            process.terminate()
            longest.append(float(process.communicate()[0].split()[1]))

    def _rows(self, command: list[str]) -> dict[str, float]:
        lines = self._output(command).splitlines()
        return {row: float(value) for row, value in (line.split() for line in lines)}

    def _output(self, command: list[str]) -> str:
        return subprocess.run(
            command,
            env=self.environment,
            input=f"{PIN}\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout


def columns(card: Card, program: Path) -> dict[str, Column]:
    """Return the columns that this machine can show."""
    inner_label = rules.INNER_LABEL + card.number
    softhsm = {"SOFTHSM2_CONF": str(card.path / "softhsm2.conf")}
    ways = {
        "direct": Column(program, card.library, inner_label, softhsm),
        "control": Column(program, card.library, inner_label, softhsm),
        "this module": Column(program, module_path(), rules.CARD_LABEL, card.environment()),
    }
    if spy := installed("pkcs11-spy.so"):
        told = {"PKCS11SPY": str(card.library), "PKCS11SPY_OUTPUT": "/dev/null"}
        ways["pkcs11-spy"] = Column(program, spy, inner_label, softhsm | told)
    if proxy := installed("p11-kit-proxy.so"):
        ways["p11-kit-proxy"] = Column(program, proxy, inner_label, softhsm)
    return {name: column for name, column in ways.items() if column.works()}


def time_of(nanoseconds: float, *, sign: str = "") -> str:
    """Write a time with three digits and its unit."""
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if abs(nanoseconds) >= size:
            return f"{nanoseconds / size:{sign}.3g} {unit}"
    return f"{nanoseconds:{sign}.0f} ns"


def by_row(results: dict[str, list[dict[str, float]]]) -> Results:
    """Turn rounds of rows into rows of rounds, column by column."""
    return {name: {row: [run[row] for run in runs] for row in runs[0]} for name, runs in results.items()}


def table(results: Results) -> None:
    """Print a row a call: direct, the control's quartiles, each wrapper's difference and ratio."""
    direct = results["direct"]
    wrappers = [name for name in results if name not in ("direct", "control")]
    print(f"{'':22}{'direct':>10}{'control':>22}" + "".join(f"{name:>22}" for name in wrappers))
    for row, base in direct.items():
        _, low, high = paired(results["control"][row], base)
        cells = [f"{time_of(low, sign='+')} … {time_of(high, sign='+')}"]
        for name in wrappers:
            values = results[name][row]
            difference, _, _ = paired(values, base)
            cells.append(f"{time_of(difference, sign='+')} ×{ratio(values, base):.2f}")
        print(f"{row:22}{time_of(median(base)):>10}" + "".join(f"{cell:>22}" for cell in cells))


def plot(results: Results) -> None:
    """Draw each column's ratio to direct, row by row; the control's is what the noise is."""
    rows = list(results["direct"])
    figure = Figure(figsize=(9, 0.5 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    for name, measured in results.items():
        if name == "direct":
            continue
        ratios = [ratio(measured[row], results["direct"][row]) for row in rows]
        axes.plot(ratios, rows, "|" if name == "control" else "o", label=name, markersize=9)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("time of a call, as a multiple of the inner module's own (median of paired rounds)")
    axes.legend()
    figure.savefig(PLOT)


def two_syncs(card: Card) -> float:
    """Time two durable writes, as a login needs them, on the same disk."""
    times = []
    with (card.path / "syncs").open("wb", buffering=0) as file:
        file.write(bytes(BLOCK))
        os.fsync(file)
        for _ in range(100):
            start = time.perf_counter_ns()
            for _ in range(2):
                os.pwrite(file.fileno(), bytes(BLOCK), 0)
                os.fdatasync(file)
            times.append(time.perf_counter_ns() - start)
    return median(times)


def crowd(column: Column) -> None:
    """Print what readers cost a login: who decides comes before who reads."""
    alone = quantiles(column.logins(), n=100)[98]
    with column.readers() as longest:
        time.sleep(1)
    with column.readers():
        beside = quantiles(column.logins(), n=100)[98]
    print(
        f"C_Login, 99th percentile: alone {time_of(alone)}, beside {READERS} readers {time_of(beside)}"
        f" (twice alone and the longest look: {time_of(2 * alone + max(longest))})"
    )


def main() -> None:
    """Measure, print and draw."""
    with closed_card() as card, TemporaryDirectory() as folder:
        card.activate()
        ways = columns(card, client(Path(folder)))
        starts: Rows = {name: way.start for name, way in ways.items()}
        runs: Rows = {name: way.run for name, way in ways.items()}
        measured = (by_row(rounds(starts, STARTS)), by_row(rounds(runs)))
        results = {name: measured[0][name] | measured[1][name] for name in ways}
        table(results)
        plot(results)
        print(f"two durable writes alone: {time_of(two_syncs(card))}")
        crowd(ways["this module"])
        for name in ("direct", "this module"):
            print(f"syncs per login, {name}: {ways[name].syncs_per_login():g}")


if __name__ == "__main__":
    main()
