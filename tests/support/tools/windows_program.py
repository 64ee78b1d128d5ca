# SPDX-License-Identifier: Apache-2.0
"""A Windows program to sign: the smallest that a signer takes, in the PE format (Microsoft, "PE Format")."""

import struct
from typing import Final

_ALIGNED: Final = 512
_PAGE: Final = 4096
_IMAGE_BASE: Final = 0x140000000
_AMD64: Final = 0x8664
_EXECUTABLE, _LARGE_ADDRESS_AWARE = 0x0002, 0x0020
_PE32_PLUS: Final = 0x20B
_CONSOLE: Final = 3
_CODE, _EXECUTE, _READ = 0x00000020, 0x20000000, 0x40000000
_DIRECTORIES: Final = 16
_RETURNS_ZERO: Final = bytes.fromhex("31c0c3")  # xor eax, eax; ret


def windows_program() -> bytes:
    """Return a program of one section that ends with status 0."""
    dos = struct.pack("<2s58xI", b"MZ", 64)
    optional = struct.pack(
        "<HBBIIIII QII HHHHHH IIII HH QQQQ II",
        *(_PE32_PLUS, 1, 0, _ALIGNED, 0, 0, _PAGE, _PAGE),  # sizes of code and data, entry, base of code
        *(_IMAGE_BASE, _PAGE, _ALIGNED),
        *(6, 0, 0, 0, 6, 0),  # versions: Windows Vista
        *(0, 2 * _PAGE, _ALIGNED, 0),  # size of the image and of the headers; no checksum
        *(_CONSOLE, 0),
        *(1 << 20, _PAGE, 1 << 20, _PAGE),  # stack and heap, reserved and committed
        *(0, _DIRECTORIES),
    ) + bytes(8 * _DIRECTORIES)
    characteristics = _EXECUTABLE | _LARGE_ADDRESS_AWARE
    header = struct.pack("<4sHHIIIHH", b"PE", _AMD64, 1, 0, 0, 0, len(optional), characteristics)
    section = struct.pack(
        "<8sIIIIIIHHI",
        *(b".text", len(_RETURNS_ZERO), _PAGE, _ALIGNED, _ALIGNED, 0, 0, 0, 0),
        _CODE | _EXECUTE | _READ,
    )
    return (dos + header + optional + section).ljust(_ALIGNED, b"\0") + _RETURNS_ZERO.ljust(_ALIGNED, b"\0")
