"""Request bodies: bounded reading, JSON into checked models, uploads plain or as a form.

Must never hold more of a body than the limit it was given, and must never repeat a client's input
in an error message.
"""

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from .errors import ApiError

MAX_JSON_BYTES = 1024 * 1024
FORM_OVERHEAD_BYTES = 64 * 1024

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml_text(text: str) -> str:
    if _NOT_XML.search(text):
        raise ValueError("text holds characters that a document cannot hold")
    return text.replace("\r\n", "\n").replace("\r", "\n")


XmlText = Annotated[str, AfterValidator(_xml_text)]


class _Body(BaseModel):
    # Unknown members are refused rather than ignored: a caller whose option does nothing must know.
    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", strict=True)


class NewDocument(_Body):
    """POST documents: `Name` ends in .docx and may have folders before it."""

    name: str
    paragraphs: list[XmlText] = Field(default=[], max_length=10_000)


class NewParagraph(_Body):
    """POST paragraphs: `Style` is the name of a paragraph style of the document."""

    text: XmlText
    style: str | None = None
    position: None = None


class ParagraphUpdate(_Body):
    """PUT (which needs `Text`) and PATCH of a paragraph: what is absent stays as it is."""

    text: XmlText | None = None
    style: str | None = None


class ReplaceText(_Body):
    """PUT replaceText; case does not matter unless `IsMatchCase`."""

    old_value: Annotated[XmlText, Field(min_length=1, max_length=4096)]
    new_value: Annotated[XmlText, Field(max_length=65_536)]
    is_match_case: bool | None = None
    is_match_whole_word: bool | None = None
    is_old_value_regex: Literal[False] | None = None
    apply_superscript: Literal[False] | None = None


class CopyDocument(_Body):
    """POST copy: `DestName` like `NewDocument.name`."""

    dest_name: str


Model = TypeVar("Model", bound=_Body)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The JSON body as a checked model; 400 if it is not one, 413 if too large, 415 if not JSON."""
    kind = _media_type(request)
    if kind and kind != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", kind):
        raise ApiError(415, "UnsupportedMediaType", "the body must be application/json")
    try:
        return model.model_validate_json(await read_bytes(request, MAX_JSON_BYTES))
    except ValidationError as error:
        raise ApiError(400, "InvalidBody", _explain(error)) from None


async def read_upload(request: Request, limit: int) -> bytes:
    """The uploaded bytes: the body itself, or the one file of a multipart/form-data body."""
    if _media_type(request) != "multipart/form-data":
        return await read_bytes(request, limit)
    form = await read_bytes(request, limit + FORM_OVERHEAD_BYTES)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield form

    try:
        fields = await MultiPartParser(request.headers, stream(), max_files=1, max_fields=8).parse()
    except (MultiPartException, KeyError):
        raise ApiError(400, "InvalidForm", "the multipart/form-data body cannot be read") from None
    files = [value for value in fields.values() if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise ApiError(400, "InvalidForm", "the form must hold exactly one file")
    data = await files[0].read(limit + 1)
    await fields.close()
    if len(data) > limit:
        raise _too_large(limit)
    return data


async def read_bytes(request: Request, limit: int) -> bytes:
    """The whole body of at most `limit` bytes; 413 beyond, 415 if it is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "UnsupportedEncoding", "the body must not be compressed")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _explain(error: ValidationError) -> str:
    told = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        unknown = item["type"] == "extra_forbidden"
        where = "" if unknown else ".".join(map(str, item["loc"]))
        told.append(f"{where or 'body'}: {'unknown member' if unknown else item['msg']}")
    return "; ".join(told)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "BodyTooLarge", f"the body may have at most {limit} bytes")
