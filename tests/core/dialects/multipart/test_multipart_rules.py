"""The multipart reader against the rules of the contract, one by one (MB-01..MB-21, MP-01, MP-09, GW-17)."""

import pytest
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.headers import HeaderBlock
from multipart_batches import GET, HTTP, POST, batch, change_set, envelope_error, one, part, read, verdict, with_id


def test_mb_01_parts_come_in_order_each_after_its_delimiter() -> None:
    calls = read(batch(part(b"GET A HTTP/1.1\r\n\r\n"), part(b"DELETE B HTTP/1.1\r\n\r\n"), part(POST)))
    assert [(call["method"], call["url"]) for call in calls] == [(b"GET", b"A"), (b"DELETE", b"B"), (b"POST", b"A")]
    assert [call["refusal"] for call in calls] == [None] * 3
    assert [call["group"] for call in calls] == [None] * 3


def test_mb_01_no_part_at_all_is_a_batch_of_no_calls() -> None:
    assert read(b"--b--\r\n") == []
    assert read(b"--b--") == []


@pytest.mark.parametrize("data", [b"", b"x", b"--b", b"--b\r\n", batch(part())[:-5], batch(part())[:-3], part()])
def test_mb_01_a_missing_close_delimiter_breaks_the_batch(data: bytes) -> None:
    assert envelope_error(data) == "BatchTruncated"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the batch has no line --b, of the boundary that its content-type names"),
        (
            batch(part(boundary=b"d"), boundary=b"d"),
            "the batch has no line --b, of the boundary that its content-type names",
        ),
        (part(), "the batch ends without its close delimiter, the line --b--"),
        (
            batch(change_set(part(POST, boundary=b"d"), boundary=b"c").replace(b"--c--", b"--d--"), part()),
            "a change set has no line --c, of the boundary that its content-type names",
        ),
        (
            batch(change_set(part(POST, boundary=b"c")).replace(b"--c--\r\n", b"")),
            "a change set ends without its close delimiter, the line --c--",
        ),
        (
            change_set(part(POST, boundary=b"c")).replace(b"--c--\r\n", b""),
            "a change set ends without its close delimiter, the line --c--",
        ),
    ],
)
def test_mb_01_an_error_tells_the_line_that_is_missing(data: bytes, message: str) -> None:
    for cuts in ((), range(len(data))):
        assert verdict(data, cuts)[2] == message


@pytest.mark.parametrize(
    "head",
    [b"", b"Content-Type: text/plain\r\n", b"Content-Type: application/httpx\r\n", b"Content-ID: 7\r\n", HTTP + HTTP],
)
def test_mb_02_a_part_of_another_type_is_refused(head: bytes) -> None:
    assert one(GET, head)["refusal"] == (400, "BadPart")
    assert [call["refusal"] for call in read(batch(part(GET, head), part()))] == [(400, "BadPart"), None]


@pytest.mark.parametrize("said", [b"", b"binary", b"Binary", b"8bit", b"7BIT"])
def test_mb_03_content_transfer_encoding_carries_no_meaning(said: bytes) -> None:
    head = b"Content-Type: application/http\r\n"
    if said:
        head += b"content-transfer-encoding:" + said + b"\r\n"
    assert one(GET, head)["refusal"] is None


@pytest.mark.parametrize("said", [b"base64", b"quoted-printable", b"x"])
def test_mb_03_an_encoding_that_changes_bytes_is_refused(said: bytes) -> None:
    head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: " + said + b"\r\n"
    assert one(GET, head)["refusal"] == (501, "EncodingNotSupported")
    mixed = b"Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: " + said + b"\r\n"
    assert one(b"--c--", mixed)["refusal"] is not None


def test_mb_04_a_change_set_is_a_multipart_inside_a_part() -> None:
    member = part(POST, with_id(b"1"), b"c")
    other = part(b"DELETE B HTTP/1.1\r\n\r\n", with_id(b"2"), b"c")
    calls = read(
        batch(part(), change_set(member, other), part(), change_set(part(POST, with_id(b"3"), b"d"), boundary=b"d"))
    )
    assert [call["group"] for call in calls] == [None, 0, 0, None, 1]
    assert [call["id"] for call in calls] == [b"", b"1", b"2", b"", b"3"]


def test_mb_04_names_of_change_sets_cannot_be_guessed_and_are_request_ids() -> None:
    names = set()
    for _ in range(2):
        reader = MultipartReader(b"b")
        reader.feed_bytes(batch(change_set(part(POST, boundary=b"c")), change_set(part(POST, boundary=b"c"))))
        for _ in range(2):
            name = reader.next().describe()["group"]
            assert name.replace(b"-", b"").isalnum()
            assert len(name) > 32
            names.add(name)
    assert len(names) == 4


def test_mb_05_a_member_without_content_id_is_let_through_unless_strict() -> None:
    data = batch(change_set(part(POST, boundary=b"c")))
    assert [(call["id"], call["refusal"]) for call in read(data)] == [(b"", None)]
    assert envelope_error(data, strict=True) == "BadId"
    assert read(batch(part(POST)), strict=True)[0]["id"] == b""


def test_mb_06_content_id_of_the_part_or_inside() -> None:
    assert one(GET, with_id(b"0.0"))["id"] == b"0.0"
    inner = b"GET A HTTP/1.1\r\ncontent-id: 7\r\nAccept: x\r\n\r\n"
    call = one(inner)
    assert call["id"] == b"7"
    assert call["headers"] == [(b"Accept", b"x")]
    assert one(inner, with_id(b"7"))["refusal"] is None
    call = one(inner, with_id(b"8"))
    assert (call["id"], call["refusal"]) == (b"8", (400, "ConflictingId"))


@pytest.mark.parametrize("name", [b"", b"a b", b"<1>", b"\xc3\xbc", b"a\x00b", b"a\rb", b"$1"])
def test_mb_06_an_id_that_is_no_request_id_breaks_the_batch(name: bytes) -> None:
    assert envelope_error(batch(part(GET, with_id(name)))) == "BadId"


def test_mb_07_a_get_in_a_change_set_is_refused() -> None:
    member = part(POST, with_id(b"1"), b"c")
    calls = read(batch(change_set(member, part(GET, with_id(b"2"), b"c")), part()))
    assert [call["refusal"] for call in calls] == [None, (400, "GetInChangeSet"), None]
    assert [call["group"] for call in calls] == [0, 0, None]


def test_mb_08_preamble_and_epilogue_are_ignored() -> None:
    plain = batch(part(POST))
    assert read(b"This is\r\n --b\r\nx--b\r\n\r\n" + plain + b"\r\n--b\r\nend --b--") == read(plain)
    inner = change_set(part(POST, boundary=b"c"))
    noisy = (
        inner.replace(b"boundary=c\r\n\r\n", b"boundary=c\r\n\r\npreamble\r\n\r\n") + b"\r\nepilogue\r\n--c\r\nmore\r\n"
    )
    assert read(batch(noisy)) == read(batch(inner))


@pytest.mark.parametrize("line", [b"GET A HTTP/1.1", b"GET A", b"GET A ", b"get A http/1.0", b"Get  A  HTTP/2 "])
def test_mb_09_request_line_with_and_without_version(line: bytes) -> None:
    call = one(line + b"\r\nAccept: x\r\n\r\n")
    assert (call["method"], call["url"], call["refusal"]) == (b"GET", b"A", None)


def test_mb_09_the_url_lies_between_first_and_last_space() -> None:
    assert one(b"GET A?$filter=x eq 'HTTP/1.1 y' HTTP/1.1\r\n\r\n")["url"] == b"A?$filter=x eq 'HTTP/1.1 y'"
    assert one(b"GET A?$filter=x eq 1\r\n\r\n")["url"] == b"A?$filter=x eq 1"


@pytest.mark.parametrize("line", [b"", b"GET", b"\x00", b"{}"])
def test_mb_09_a_message_without_request_line_is_refused(line: bytes) -> None:
    assert one(line + b"\r\n\r\n")["refusal"] == (400, "BadRequestLine")


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT", b"MERGES", b"GETS", b"", b"G\xc3\x89T"])
def test_mb_09_other_methods_are_refused(method: bytes) -> None:
    call = one(method + b" A HTTP/1.1\r\n\r\n", with_id(b"1"))
    assert (call["id"], call["refusal"]) == (b"1", (400, "BadMethod"))


@pytest.mark.parametrize("url", [b"http://h/svc/A", b"/svc/A", b"A", b"$1/B", b"Items('a:b')", b"things%281%29"])
def test_mb_10_urls_are_given_on_as_written(url: bytes) -> None:
    assert one(b"GET " + url + b" HTTP/1.1\r\n\r\n")["url"] == url


@pytest.mark.parametrize("url", [b"A\tB", b"A\x00", b"A\x7f"])
def test_mb_10_control_characters_in_a_url_are_refused(url: bytes) -> None:
    assert one(b"GET " + url + b" HTTP/1.1\r\n\r\n")["refusal"] == (400, "BadUrl")


@pytest.mark.parametrize(
    ("scheme", "authority", "url", "host", "fits"),
    [
        ("http", "gw.example", b"/A", b"gw.example", True),
        ("http", "gw.example", b"/A", b"GW.example:80", True),
        ("http", "gw.example:80", b"/A", b"gw.example", True),
        ("https", "gw.example", b"/A", b"gw.example:443", True),
        ("http", "gw.example:8080", b"/A", b"gw.example:8080", True),
        ("http", "gw.example", b"/A", b"gw.example:443", False),
        ("http", "gw.example", b"/A", b"evil.example", False),
        ("http", "gw.example", b"/A", b"", False),
        ("http", "gw.example", b"A", b"evil.example", True),
        ("http", "gw.example", b"http://gw.example/A", b"evil.example", True),
    ],
)
def test_mb_11_host_of_an_absolute_path_is_that_of_the_batch(
    scheme: str, authority: str, url: bytes, host: bytes, fits: bool
) -> None:
    call = one(b"GET " + url + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", authority=(scheme, authority))
    assert call["refusal"] == (None if fits else (400, "BadHost"))
    assert call["headers"] == []


def test_mb_11_a_path_without_host_is_fine_and_no_authority_means_no_comparison() -> None:
    assert one(b"GET /A HTTP/1.1\r\n\r\n", authority=("http", "h"))["refusal"] is None
    assert one(b"GET /A HTTP/1.1\r\nHost: x\r\n\r\n")["refusal"] is None


def test_mb_12_a_boundary_may_hold_spaces_and_special_characters() -> None:
    for boundary in (b"b (1): x", b"===============123==", b"b" * 70):
        calls = read(batch(part(POST, boundary=boundary), boundary=boundary), boundary=boundary)
        assert [call["body"] for call in calls] == [b"{}"]


def test_mb_13_the_line_end_before_a_delimiter_is_not_the_bodys() -> None:
    head = b"POST A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n"
    for body in (b"line1\r\n\r\n", b"line1\n", b"\r\n", b"\r\nx", b"x\r", b"--\r\n--b-\r\nx--b\r\n--bb", b"\n\n"):
        assert one(head + body)["body"] == body


def test_mb_13_a_delimiter_is_a_whole_line() -> None:
    head = b"POST A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n"
    for line in (b"--b1", b"--b-", b"--b--x", b" --b", b"--B", b"-b", b"--", b"---b", b"--b -"):
        body = b"a\r\n" + line + b"\r\nz"
        assert one(head + body)["body"] == body


def test_mb_13_a_boundary_that_extends_another_is_another() -> None:
    inner = change_set(part(POST, boundary=b"b1"), part(POST, boundary=b"b1"), boundary=b"b1")
    assert [call["group"] for call in read(batch(inner, part()))] == [0, 0, None]
    longer = change_set(part(POST, boundary=b"b"), boundary=b"b", outer=b"b1")
    assert [call["group"] for call in read(batch(longer, boundary=b"b1"), boundary=b"b1")] == [0]


def test_mb_14_white_space_after_a_delimiter_is_tolerated() -> None:
    data = batch(change_set(part(POST, boundary=b"c")), part(POST))
    spaced = data.replace(b"--b\r\n", b"--b \t \r\n").replace(b"--c\r\n", b"--c\t\r\n").replace(b"--\r\n", b"-- \r\n")
    assert read(spaced) == read(data)


@pytest.mark.parametrize(
    "head",
    [
        b"content-type:application/http\r\ncontent-id:1\r\n",
        b"CONTENT-TYPE: Application/HTTP; msgtype=request;charset=utf-8\r\nCONTENT-ID:  1 \r\n",
        b"MIME-Version: 1.0\r\nContent-Type: application/http;type=entry\r\nContent-Id:1\r\nX: y\r\n",
        b"Content-Length: 7\r\nContent-ID: 1\r\nContent-Type:\r\n application/http\r\n",
    ],
)
def test_mb_15_case_spaces_and_parameters_do_not_matter(head: bytes) -> None:
    call = one(b"POST A HTTP/1.1\r\nACCEPT:x\r\ncontent-TYPE:text/plain\r\n\r\nx", head)
    assert (call["id"], call["refusal"], call["body"]) == (b"1", None, b"x")
    assert call["headers"] == [(b"ACCEPT", b"x"), (b"content-TYPE", b"text/plain")]


def test_mb_16_content_length_cuts_the_body_or_refuses_the_call() -> None:
    head = b"POST A HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    assert one(head % 3 + b"abcdef")["body"] == b"abc"
    assert one(head % 6 + b"abcdef")["body"] == b"abcdef"
    assert one(head % 0 + b"abcdef")["body"] is None
    call = one(head % 7 + b"abcdef")
    assert call["refusal"] == (400, "BadLength")
    assert one(b"POST A HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")["headers"] == []


@pytest.mark.parametrize("said", [b"x", b"-1", b"", b"+2", b"1" * 16, b"2\r\nContent-Length: 3"])
def test_mb_16_a_content_length_that_is_no_number_is_refused(said: bytes) -> None:
    assert one(b"POST A HTTP/1.1\r\nContent-Length: " + said + b"\r\n\r\nabc")["refusal"] == (400, "BadLength")


@pytest.mark.parametrize(
    "name",
    [b"Authorization", b"Proxy-Authorization", b"Expect", b"From", b"Max-Forwards", b"Range", b"TE"],
)
def test_mb_17_headers_that_must_not_be_inside_are_refused(name: bytes) -> None:
    assert one(b"GET A HTTP/1.1\r\n" + name + b": x\r\n\r\n")["refusal"] == (400, "HeaderNotAllowed")


def test_gw_17_authorization_may_be_dropped_instead() -> None:
    block = HeaderBlock(False, inner_authorization="drop")
    call = one(b"GET A HTTP/1.1\r\nAuthorization: x\r\nAccept: y\r\n\r\n", block=block)
    assert (call["refusal"], call["headers"]) == (None, [(b"Accept", b"y")])


def test_gw_12_repeated_headers_are_plain_http_here() -> None:
    call = one(b"GET A HTTP/1.1\r\nPrefer: a\r\nprefer: b\r\n\r\n")
    assert (call["refusal"], call["headers"]) == (None, [(b"Prefer", b"a"), (b"prefer", b"b")])


@pytest.mark.parametrize("tail", [b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n \r\n", b"\n", b"\n\n"])
def test_mb_18_blank_lines_after_the_headers_of_a_get_are_no_body(tail: bytes) -> None:
    call = one(b"GET A HTTP/1.1\r\nAccept: x\r\nContent-Type: application/json" + tail)
    assert (call["refusal"], call["body"], call["headers"]) == (None, None, [(b"Accept", b"x")])


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_mb_18_a_body_with_get_or_delete_is_refused(method: bytes) -> None:
    assert one(method + b" A HTTP/1.1\r\n\r\nx")["refusal"] == (400, "BodyNotAllowed")


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"identity"])
def test_mb_20_transfer_codings_inside_are_refused(coding: bytes) -> None:
    message = b"POST A HTTP/1.1\r\nTransfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    assert one(message)["refusal"] == (501, "UnknownTransferCoding")


def test_mb_21_change_sets_do_not_nest() -> None:
    deep = part(
        b"--d\r\n" + HTTP + b"\r\n" + POST + b"\r\n--d--\r\n", b"Content-Type: multipart/mixed; boundary=d\r\n", b"c"
    )
    calls = read(batch(change_set(part(POST, boundary=b"c"), deep), part()))
    assert [call["refusal"] for call in calls] == [None, (400, "NestedMultipart"), None]
    assert [call["group"] for call in calls] == [0, 0, None]


def test_mb_21_a_change_set_that_is_not_closed_breaks_the_batch() -> None:
    open_set = change_set(part(POST, boundary=b"c")).replace(b"--c--\r\n", b"")
    assert envelope_error(batch(open_set)) == "BatchTruncated"
    assert envelope_error(batch(open_set, part())) == "BatchTruncated"


@pytest.mark.parametrize("said", [b"", b"; boundary=", b"; boundary=b", b"; boundary=" + b"x" * 71])
def test_mb_21_a_change_set_without_a_boundary_of_its_own_breaks_the_batch(said: bytes) -> None:
    head = b"Content-Type: multipart/mixed" + said + b"\r\n"
    assert envelope_error(batch(part(b"--c--\r\n", head))) == "BadBoundary"


def test_mp_01_only_odata_is_sequential() -> None:
    for flavour, expected in (("odata", True), ("document", False), ("google", False)):
        assert MultipartReader(b"b", flavour=flavour).sequential is expected


def test_mp_09_only_odata_stops_in_silence() -> None:
    for flavour, expected in (("odata", True), ("document", False), ("google", False)):
        assert MultipartReader(b"b", flavour=flavour).silent_stop is expected
