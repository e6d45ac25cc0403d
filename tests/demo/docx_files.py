"""Hand-made .docx files for the tests: small ones, and hostile ones."""

import io
import struct
import zipfile
import zlib

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


def package(
    body: str,
    *,
    relations: str = "",
    parts: dict[str, str | bytes] | None = None,
    main: str = "word/document.xml",
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A .docx whose body holds the given WordprocessingML."""
    document = f'<w:document xmlns:w="{W}" xmlns:r="{R}"><w:body>{body}</w:body></w:document>'
    entries: dict[str, str | bytes] = {
        "[Content_Types].xml": _CONTENT_TYPES.replace("word/document.xml", main),
        "_rels/.rels": _ROOT_RELS.replace("word/document.xml", main),
        main: document,
        main.replace("word/", "word/_rels/") + ".rels": f'<Relationships xmlns="{_RELS}">{relations}</Relationships>',
        **(parts or {}),
    }
    return zipped(entries, method)


def related(name: str, kind: str) -> str:
    """The relation of the document to another part below word/."""
    return f'<Relationship Id="{name}" Type="{R}/{kind}" Target="{name}.xml"/>'


def zipped(entries: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def text_run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def opened(data: bytes) -> Document:
    return load(io.BytesIO(data))


def lying_bomb(size: int = 40_000_000, *, checked: bool = False) -> bytes:
    """A zip entry of zeros whose headers say that it has 10 bytes; checked: with the checksum of 10 bytes, too."""
    content = bytes(size)
    data = package("", parts={"word/big.xml": content})
    lies = [(size, 10)] + ([(zlib.crc32(content), zlib.crc32(bytes(10)))] if checked else [])
    for real, told in lies:
        assert data.count(struct.pack("<I", real)) == 2
        data = data.replace(struct.pack("<I", real), struct.pack("<I", told))
    return data
