"""Integers of thousands of digits in Connect's JSON, which are no member's (PL-01, FR-10)."""

import sys

import pytest
from batchwire.core import EnvelopeError
from batchwire.service.fronts.rpc import connect_json
from batchwire.v1 import batch_pb2 as pb


@pytest.mark.parametrize("digits", [399, 400, 4_200, 100_000])
@pytest.mark.parametrize("sign", ["", "-"])
async def test_PL_01_a_long_integer_is_no_value_of_a_member(digits: int, sign: str) -> None:
    body = '{"options": {"maxMessageBytes": ' + sign + "9" * digits + "}}"
    with pytest.raises(EnvelopeError) as caught:
        await connect_json.parse(body.encode(), pb.BatchRequest)
    assert caught.value.code == "BadMessage"
    assert "maxMessageBytes" in caught.value.message


async def test_PL_01_long_integers_are_not_computed() -> None:
    """int() refuses what is longer than this; float() does not."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(EnvelopeError, match="calls"):
            await connect_json.parse(b'{"calls": [' + b"9" * 4_200 + b"]}", pb.BatchRequest)
    finally:
        sys.set_int_max_str_digits(before)


async def test_FR_10_a_text_of_digits_is_a_text() -> None:
    body = '{"calls": [{"id": "' + "9" * 500 + '"}], "options": {"maxMessageBytes": 65536}}'
    message = pb.BatchRequest.FromString(await connect_json.parse(body.encode(), pb.BatchRequest))
    assert (message.calls[0].id, message.options.max_message_bytes) == ("9" * 500, 65536)
