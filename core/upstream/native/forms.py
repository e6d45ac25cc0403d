"""The forms by name. Must never hold what differs between them."""

from ...errors import ConfigError
from .json_form import JsonForm
from .multipart_form import MultipartForm

FORMS = {"json": JsonForm, "multipart": MultipartForm}


def native_form(name: str, max_body_bytes: int) -> JsonForm | MultipartForm:
    """The form that a configuration names. Raises ConfigError."""
    try:
        return FORMS[name](max_body_bytes)
    except KeyError:
        raise ConfigError(f"the form of an upstream's batches is one of {', '.join(FORMS)}") from None
