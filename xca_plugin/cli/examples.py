# SPDX-License-Identifier: Apache-2.0
"""Examples that the help of each command shows."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("xcactl info", "xcactl activate", "xcactl sign contract.pdf", "xcactl --lang en doctor"),
    "detect": ("xcactl detect", "xcactl detect --wait"),
    "info": ("xcactl info", "xcactl info --card XC00000000091349", "xcactl info --json"),
    "activate": (
        "xcactl activate",
        "xcactl activate --dry-run",
        "xcactl activate --receipt receipt.json",
        "xcactl activate --yes --user-code file:code --new-pin file:pin",
    ),
    "accept": ("xcactl accept", "xcactl accept --yes --pin file:pin", "xcactl accept --deliver"),
    "pin": ("xcactl pin change", "xcactl pin reset"),
    "pin change": ("xcactl pin change", "xcactl pin change --pin env:OLD --new-pin env:NEW"),
    "pin reset": ("xcactl pin reset", "xcactl pin reset --user-code file:code --new-pin file:pin"),
    "pin verify": ("xcactl pin verify",),
    "user-code": ("xcactl user-code change",),
    "user-code reset": ("xcactl user-code reset --ticket user-code.ticket",),
    "user-code change": ("xcactl user-code change",),
    "cert": ("xcactl cert list", "xcactl cert export cert2 -o cert2.pem"),
    "cert list": ("xcactl cert list", "xcactl cert list --json"),
    "cert show": ("xcactl cert show", "xcactl cert show cert2"),
    "cert export": ("xcactl cert export -o cert1.pem", "xcactl cert export cert2 --format der -o cert2.cer"),
    "sign": (
        "xcactl sign contract.pdf",
        "xcactl sign contract.pdf --attached",
        "xcactl sign contract.pdf -o signature.p7s --pin file:pin",
        "xcactl sign offer.pdf terms.pdf prices.ods",
    ),
    "verify": (
        "xcactl verify contract.pdf contract.pdf.p7s --ca-file root.pem",
        "xcactl verify signed.pdf --ca-file root.pem --report report.pdf",
        "xcactl verify contract.pdf.p7m --ca-file root.pem --fetch -o received.pdf",
    ),
    "encrypt": (
        "xcactl encrypt contract.pdf --to buyer.pem",
        "xcactl encrypt contract.pdf --to buyer.pem --to seller.pem",
    ),
    "decrypt": ("xcactl decrypt contract.pdf.p7e -o received.pdf",),
    "bid": (
        "xcactl bid check our.bid --notice notice.p7m --site site.pem",
        "xcactl bid open a.bid b.bid --notice notice.p7m --site site.pem",
    ),
    "bid seal": (
        "xcactl bid seal prices.pdf plan.pdf -o our.bid --notice notice.p7m --site site.pem "
        "--replaces old.bid.receipt --instrument instrument.p7m --instrument-number E-7",
    ),
    "bid check": (
        "xcactl bid check our.bid --notice notice.p7m --site site.pem",
        "xcactl bid check our.bid --notice notice.p7m --site site.pem --receipt our.bid.receipt",
    ),
    "bid open": (
        "xcactl bid open a.bid b.bid --notice notice.p7m --site site.pem",
        "xcactl bid open a.bid.inner b.bid.inner --notice notice.p7m --site site.pem --ca-file root.pem",
    ),
    "bid rehearse": ("xcactl bid rehearse rehearsal.p7e --origin https://bids.example.gov.tw",),
    "events": ("xcactl events", "xcactl events --card XC00000000091349"),
    "doctor": (
        "xcactl doctor",
        "xcactl doctor --report report.json",
        "xcactl doctor --card-report card.json",
    ),
    "agent": ("xcactl agent open", "xcactl agent install", "xcactl agent status"),
    "agent run": ("xcactl agent run",),
    "agent open": ("xcactl agent open",),
    "agent stop": ("xcactl agent stop",),
    "agent install": ("xcactl agent install",),
    "agent uninstall": ("xcactl agent uninstall",),
    "agent status": ("xcactl agent status",),
    "tools": ("xcactl tools list", "xcactl tools register firefox"),
    "tools list": ("xcactl tools list",),
    "tools register": ("xcactl tools register --all --dry-run", "xcactl tools register openssh firefox"),
    "tools unregister": ("xcactl tools unregister --all",),
    "tools check": ("xcactl tools check", "xcactl tools check firefox"),
    "module-path": ("xcactl module-path",),
    "setup": ("xcactl setup", "xcactl setup --module /usr/lib/libHicos_p11v1.so --yes"),
}
"""Examples by the words of the command; no words: xcactl itself. Their files are the user's."""
