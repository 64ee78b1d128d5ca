# SPDX-License-Identifier: Apache-2.0
"""What a process of its own does with a PDF: pages as pictures, and the preparation of a signature.

pypdfium2 draws, pyHanko prepares. The signature itself is made elsewhere, from the digest.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from xca_common.harmless_text import harmless
from xca_plugin import own_loop
from xca_plugin.agent.files.stored_file import StoredFile
from xca_plugin.errors import PdfNotSigned, TooMuch
from xca_plugin.i18n import text

PAGES: Final = 2000
"""Most pages of a PDF that is shown."""
PDF_BYTES: Final = 256 << 20
"""Most bytes of a PDF that is shown or signed in the PDF itself."""

_WIDTH, _HEIGHT = 1200, 1700  # pixels that a picture has at most
_POINTS_IN_MM: Final = 72 / 25.4
_ENCRYPTED: Final = text("the PDF can only be read with its password")
_NO_PDF: Final = text("it is no PDF that can be read")
_NO_PAGE: Final = text("it has no page {number}")
_OUTSIDE: Final = text("the stamp does not lie on the page")
_FIELD: Final = "Signature"

_Json = dict[str, str]


def pages(file: _Json) -> list[tuple[float, float]]:
    """Return the width and height of each page in millimetres, as it is shown.

    Raises:
        PdfNotSigned: it cannot be read.
        TooMuch: it has too many pages or bytes.
    """
    stored = StoredFile.from_json(file)
    with _drawn(stored) as document:
        return [_size(document.get_page_size(number)) for number in range(len(document))]


def picture(file: _Json, number: int, target: _Json) -> None:
    """Draw a page as a PNG.

    Raises:
        PdfNotSigned: it cannot be read, or has no such page.
    """
    stored = StoredFile.from_json(file)
    with _drawn(stored) as document:
        if not 1 <= number <= len(document):
            raise PdfNotSigned(path=Path(stored.name), detail=_NO_PAGE.format(number=number))
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(_WIDTH / max(width, 1), _HEIGHT / max(height, 1))
        image = page.render(scale=scale).to_pil()
    with StoredFile.from_json(target).writing() as output:
        image.save(output, "PNG")


@contextmanager
def _drawn(stored: StoredFile) -> Any:
    import pypdfium2  # type: ignore[import-untyped]

    path = Path(stored.name)
    _check_size(stored)
    try:
        document = pypdfium2.PdfDocument(stored.path)
    except pypdfium2.PdfiumError as error:
        is_locked = "password" in str(error).lower()
        raise PdfNotSigned(path=path, detail=_ENCRYPTED if is_locked else _NO_PDF) from None
    if len(document) > PAGES:
        raise TooMuch(path=path, detail=text("it has more than {count} pages").format(count=PAGES))
    try:
        document.init_forms()  # else fields, and the stamps of signatures, are not drawn
        yield document
    except pypdfium2.PdfiumError:
        raise PdfNotSigned(path=path, detail=_NO_PDF) from None


def _check_size(stored: StoredFile) -> None:
    if stored.size > PDF_BYTES:
        detail = text("it has more than {size} MiB").format(size=PDF_BYTES >> 20)
        raise TooMuch(path=Path(stored.name), detail=detail)


def _size(points: tuple[float, float]) -> tuple[float, float]:
    return points[0] / _POINTS_IN_MM, points[1] / _POINTS_IN_MM


# --- a signature


def prepare(
    file: _Json, output: _Json, certificates: Sequence[str], stamp: Mapping[str, Any] | None, font: _Json
) -> dict[str, Any]:
    """Write the PDF with an empty signature (PAdES), and return the digest and where the signature goes.

    Args:
        file: the PDF.
        output: where it is written with the empty signature.
        certificates: DER in base64: the signer's, and those of its issuers.
        stamp: page, left, top, width, height (millimetres, from the corner at the top left of the page as it
            is shown) and lines, of a visible stamp; None: the signature is not visible.
        font: a place for the stamp's font.

    Raises:
        PdfNotSigned, TooMuch: it cannot be signed.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.layout import LayoutError
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.signers import ExternalSigner, PdfSignatureMetadata, PdfSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    from xca_plugin.exact_certificate import ExactCertificate

    stored = StoredFile.from_json(file)
    path = Path(stored.name)
    _check_size(stored)
    own, *others = (ExactCertificate.load(b64decode(one)) for one in certificates)
    registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    for one in others:
        registry.register(one)
    signer = ExternalSigner(own, registry, bytes(own.public_key.byte_size), embed_roots=False)
    try:
        # Not output_file(): pyHanko reads what it has written. The process's umask keeps it private.
        with stored.reading() as source, Path(output["path"]).open("x+b") as target:
            writer = IncrementalPdfFileWriter(source)
            _unlock(writer, path)
            field = _free_name(writer)
            box, style = (None, None)
            page = -1
            if stamp is not None:
                page = int(stamp["page"]) - 1
                place = _place(writer, stamp, path)
                box = place.box
                style = _style(stamp["lines"], place, StoredFile.from_json(font), path)
            pdf_signer = PdfSigner(
                PdfSignatureMetadata(
                    field_name=field, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
                ),
                signer,
                stamp_style=style,
                new_field_spec=SigFieldSpec(field, on_page=page, box=box),
            )
            prepared, _, _ = own_loop.run(pdf_signer.async_digest_doc_for_signing(writer, output=target))
            return {
                "digest": b64encode(prepared.document_digest).decode(),
                "start": prepared.reserved_region_start,
                "end": prepared.reserved_region_end,
            }
    except (PdfError, SigningError, LayoutError) as error:
        # pyHanko's words are English; they name what is wrong with the structure.
        raise PdfNotSigned(path=path, detail=harmless(str(error)).removesuffix(".") or _NO_PDF) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise PdfNotSigned(path=path, detail=_NO_PDF) from None  # what a broken PDF makes pyHanko raise


def _unlock(writer: Any, path: Path) -> None:
    from pyhanko.pdf_utils.crypt import AuthStatus

    if not writer.prev.encrypted:
        return
    if writer.prev.decrypt("").status is AuthStatus.FAILED:
        raise PdfNotSigned(path=path, detail=_ENCRYPTED)
    writer.encrypt("")


def _free_name(writer: Any) -> str:
    """Return the name of a form field that the PDF does not have yet."""
    taken = set()
    root = writer.root
    if "/AcroForm" in root and "/Fields" in root["/AcroForm"]:
        fields = [field.get_object() for field in root["/AcroForm"]["/Fields"]]
        taken = {str(field["/T"]) for field in fields if "/T" in field}
    return next(name for number in range(1, 1000) if (name := f"{_FIELD}{number}") not in taken)


@dataclass(frozen=True)
class _Place:
    """Where a stamp is, in points.

    Attributes:
        box: lower left and upper right corner in the space of the PDF.
        width, height: as it is shown.
        rotation: of the page as it is shown, in degrees clockwise.
    """

    box: tuple[int, int, int, int]
    width: float
    height: float
    rotation: int


def _place(writer: Any, stamp: Mapping[str, Any], path: Path) -> _Place:
    number = int(stamp["page"])
    count = int(writer.prev.root["/Pages"]["/Count"])
    if not 1 <= number <= count:
        raise PdfNotSigned(path=path, detail=_NO_PAGE.format(number=number))
    reference, _ = writer.prev.find_page_for_modification(number - 1)
    page = reference.get_object()
    first, second, third, fourth = (
        float(one) for one in _inherited(page, "/CropBox") or _inherited(page, "/MediaBox")
    )
    (x0, x1), (y0, y1) = sorted((first, third)), sorted((second, fourth))
    rotation = int(_inherited(page, "/Rotate") or 0) % 360
    left, top, width, height = (
        float(stamp[one]) * _POINTS_IN_MM for one in ("left", "top", "width", "height")
    )
    page_width, page_height = (x1 - x0, y1 - y0) if rotation in (0, 180) else (y1 - y0, x1 - x0)
    if not (0 <= left < left + width <= page_width + 1 and 0 <= top < top + height <= page_height + 1):
        raise PdfNotSigned(path=path, detail=_OUTSIDE)

    def corner(x: float, y: float) -> tuple[float, float]:
        """Return where a point of the shown page, from its top left, is in the space of the PDF."""
        if rotation == 90:
            return x0 + y, y0 + x
        if rotation == 180:
            return x1 - x, y0 + y
        if rotation == 270:
            return x1 - y, y1 - x
        return x0 + x, y1 - y

    (ax, ay), (bx, by) = corner(left, top), corner(left + width, top + height)
    box = (round(min(ax, bx)), round(min(ay, by)), round(max(ax, bx)), round(max(ay, by)))
    return _Place(box, width, height, rotation)


def _inherited(page: Any, name: str) -> Any:
    """Return an attribute of a page, its own or an inherited one (ISO 32000-1, 7.7.3.4)."""
    for _ in range(64):
        if name in page:
            return page[name]
        if "/Parent" not in page:
            return None
        page = page["/Parent"]
    return None


def _style(lines: Sequence[str], place: _Place, font: StoredFile, path: Path) -> Any:
    """Return the style of a stamp that reads upright on the page as it is shown."""
    from pyhanko.pdf_utils import generic, layout
    from pyhanko.pdf_utils.font.opentype import GlyphAccumulatorFactory
    from pyhanko.pdf_utils.generic import pdf_name
    from pyhanko.pdf_utils.text import TextBoxStyle
    from pyhanko.stamp import TextStamp, TextStampStyle

    from xca_plugin.stamp_font import CompleteFont, write_font

    said = [harmless(line) for line in lines]
    write_font("".join(said), font.path, path)
    # (ISO 32000-1, 12.5.5): the matrix turns the appearance against the page.
    matrix = {90: (0, 1, -1, 0, 0, 0), 180: (-1, 0, 0, -1, 0, 0), 270: (0, -1, 1, 0, 0, 0)}.get(
        place.rotation
    )

    class Upright(TextStamp):
        def as_form_xobject(self) -> generic.StreamObject:
            xobject = super().as_form_xobject()
            if matrix is not None:
                xobject[pdf_name("/Matrix")] = generic.ArrayObject(map(generic.NumberObject, matrix))
            return xobject

    class Style(TextStampStyle):
        def create_stamp(self, writer: Any, box: Any, text_params: Any) -> TextStamp:
            shown = layout.BoxConstraints(width=place.width, height=place.height)
            return Upright(writer=writer, style=self, box=shown, text_params=text_params)

    fonts = CompleteFont(GlyphAccumulatorFactory(str(font.path)), path)
    return Style(
        border_width=1,
        stamp_text="\n".join(line.replace("%", "%%") for line in said),
        text_box_style=TextBoxStyle(font=fonts, border_width=0, leading=14),
        inner_content_layout=layout.SimpleBoxLayoutRule(
            x_align=layout.AxisAlignment.ALIGN_MIN,
            y_align=layout.AxisAlignment.ALIGN_MID,
            margins=layout.Margins.uniform(4),
        ),
    )


def fill(file: BinaryIO, prepared: Mapping[str, Any], signature: bytes) -> None:
    """Write a signature (CMS, DER) into its place in a prepared PDF.

    Raises:
        ValueError: it does not fit.
    """
    encoded = signature.hex().upper().encode()
    room = int(prepared["end"]) - int(prepared["start"]) - 2  # between < and >
    if len(encoded) > room:
        raise ValueError("the signature is longer than its place")
    file.seek(int(prepared["start"]) + 1)
    file.write(encoded.ljust(room, b"0"))
