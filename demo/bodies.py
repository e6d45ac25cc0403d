"""Request bodies: bounded reading, JSON into checked models, uploads plain or as a form.

Must never hold more of a body than the limit it was given, and must never repeat a client's input
in an error message.
"""

import re
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal
from starlette.requests import Request

from .errors import ApiError
from .forms import Part, read_parts

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


class SaveOptions(_Body):
    """PUT saveAs of the SDK API: options of single formats are understood only where they say nothing (null)."""

    model_config = ConfigDict(extra="allow")

    save_format: str
    file_name: str

    @model_validator(mode="after")
    def _no_further_options(self) -> "SaveOptions":
        if any(value is not None for value in (self.model_extra or {}).values()):
            raise ValueError("the demo knows only SaveFormat and FileName")
        return self


class CopyDocument(_Body):
    """POST copy: `DestName` like `NewDocument.name`."""

    dest_name: str


Model = TypeVar("Model", bound=_Body)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The JSON body as a checked model; 400 if it is not one, 413 if too large, 415 if not JSON."""
    kind = _media_type(request)
    if kind and kind != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", kind):
        raise ApiError(415, "UnsupportedMediaType", "the body must be application/json")
    return parse_json(await read_bytes(request, MAX_JSON_BYTES), model)


def parse_json(data: bytes, model: type[Model]) -> Model:
    """JSON as a checked model; 400 if it is not one."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise ApiError(400, "InvalidBody", _explain(error)) from None


async def read_form(request: Request, limit: int) -> list[Part] | None:
    """The parts of a multipart/form-data body; None if it has another type, and is not read yet."""
    if _media_type(request) != "multipart/form-data":
        return None
    body = await read_bytes(request, limit + FORM_OVERHEAD_BYTES)
    return read_parts(request.headers["content-type"], body)


async def read_upload(request: Request, limit: int) -> bytes:
    """The uploaded bytes: the body itself, or the one file of a multipart/form-data body."""
    parts = await read_form(request, limit)
    if parts is None:
        return await read_bytes(request, limit)
    files = [part for part in parts if part.is_file]
    if len(files) != 1:
        raise ApiError(400, "InvalidForm", "the form must hold exactly one file")
    if len(files[0].data) > limit:
        raise too_large(limit)
    return files[0].data


async def read_bytes(request: Request, limit: int) -> bytes:
    """The whole body of at most `limit` bytes; 413 beyond, 415 if it is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "UnsupportedEncoding", "the body must not be compressed")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
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


def too_large(limit: int) -> ApiError:
    """The refusal of a body beyond its bound."""
    return ApiError(413, "BodyTooLarge", f"the body may have at most {limit} bytes")
