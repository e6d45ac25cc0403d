"""Hand-made .docx files for the tests: small ones, and hostile ones."""

import io
import struct
import zipfile

from docx import Document as load
from docx.document import Document

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_MAIN}.document.main+xml"/>'
    f'<Override PartName="/word/styles.xml" ContentType="{_MAIN}.styles+xml"/>'
    f'<Override PartName="/word/numbering.xml" ContentType="{_MAIN}.numbering+xml"/></Types>'
)
_ROOT_RELS = (
    f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{R}/officeDocument"'
    ' Target="word/document.xml"/></Relationships>'
)


def package(body: str, *, relations: str = "", parts: dict[str, str | bytes] | None = None) -> bytes:
    """A .docx whose body holds the given WordprocessingML."""
    document = f'<w:document xmlns:w="{W}" xmlns:r="{R}"><w:body>{body}</w:body></w:document>'
    entries: dict[str, str | bytes] = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _ROOT_RELS,
        "word/document.xml": document,
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELS}">{relations}</Relationships>',
        **(parts or {}),
    }
    return zipped(entries)


def related(name: str, kind: str) -> str:
    """The relation of the document to another part below word/."""
    return f'<Relationship Id="{name}" Type="{R}/{kind}" Target="{name}.xml"/>'


def zipped(entries: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def text_run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def opened(data: bytes) -> Document:
    return load(io.BytesIO(data))


def lying_bomb() -> bytes:
    """A zip entry of 40 MB of zeros whose headers say that it has 10 bytes."""
    data = bytearray(package("", parts={"word/big.xml": b"\0" * 40_000_000}))
    real = struct.pack("<I", 40_000_000)
    assert data.count(real) == 2
    return bytes(data.replace(real, struct.pack("<I", 10)))
