"""Rules GB, HD, PR and GW that are decided from the outer head of a batch alone."""

import json
from typing import Any

import pytest
from batchwire.service.fronts.batches import document
from batchwire.service.fronts.batches.media import parse_accept, parse_media_type
from batchwire.service.fronts.batches.negotiation import (
    MOST_ELEMENTS,
    Accepted,
    OuterRequest,
    Policy,
    Probe,
    Refusal,
    negotiate,
    root_of,
)
from batchwire.service.fronts.batches.preferences import parse_preferences


def head(
    *lines: tuple[str, str], method: str = "POST", query: str = "", policy: Policy | None = None, **more: Any
) -> Accepted | Refusal | Probe:
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    if method == "POST" and not any(name == b"content-type" for name, _ in fields):
        fields.append((b"content-type", b"application/json"))
    request = OuterRequest(method, "http", query.encode(), [(b"host", b"gw.example"), *fields], **more)
    return negotiate(request, policy or Policy())


def accepted(*lines: tuple[str, str], **more: Any) -> Accepted:
    outcome = head(*lines, **more)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refused(*lines: tuple[str, str], **more: Any) -> Refusal:
    outcome = head(*lines, **more)
    assert isinstance(outcome, Refusal), outcome
    return outcome


def inherited(*lines: tuple[str, str]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in accepted(*lines).inherited}


def answer(outcome: Accepted | Refusal) -> dict[str, str]:
    headers = outcome.answer_headers if isinstance(outcome, Accepted) else outcome.headers
    return {name.decode(): value.decode() for name, value in headers}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/svc/$batch", "/svc/"),
        ("/$batch", "/"),
        ("/svc/%24batch", "/svc/"),
        ("/svc/$batch/", None),
        ("/svc/$Batch", None),
        ("/svc/x$batch", None),
        ("/svc/$batch/x", None),
        ("$batch", None),
    ],
)
def test_gb01_batch_resource_is_case_sensitive(path: str, expected: object) -> None:
    assert root_of("POST", path, "") == expected


def test_pr08_a_slash_behind_is_probed_only() -> None:
    assert root_of("HEAD", "/svc/$batch/", "") == "/svc/"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "post"])
def test_gb02_er04_other_methods_are_405_with_allow(method: str) -> None:
    refusal = refused(method=method)
    assert refusal.status == 405
    assert answer(refusal)["allow"] == "POST"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;odata.metadata=minimal;charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json;",
    ],
)
def test_gb04_json_with_any_parameters_is_accepted(media_type: str) -> None:
    assert accepted(("Content-Type", media_type)).dialect == "json"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/xml",
        "text/plain",
        "application/problem+json",
        "json",
        "",
        "application/json;charset=utf-16",
        "application/json x",
    ],
)
def test_gb04_other_content_types_are_415(media_type: str) -> None:
    refusal = refused(("Content-Type", media_type))
    assert refusal.status == 415
    assert answer(refusal)["accept"] == "application/json, multipart/mixed"


def test_gb04_missing_content_type_is_415() -> None:
    outcome = negotiate(OuterRequest("POST", "http", b"", []), Policy())
    assert isinstance(outcome, Refusal)
    assert outcome.status == 415


def test_gb04_multipart_with_its_boundary() -> None:
    outcome = accepted(("Content-Type", 'multipart/mixed; boundary="a b"'))
    assert (outcome.dialect, outcome.answer, outcome.boundary) == ("multipart", "multipart", b"a b")
    assert outcome.answer_boundary is not None
    assert answer(outcome)["content-type"] == f"multipart/mixed; boundary={outcome.answer_boundary.decode()}"


@pytest.mark.parametrize(
    "value", ["multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed;boundary=" + "x" * 71]
)
def test_gb04_multipart_without_boundary_is_400(value: str) -> None:
    assert refused(("Content-Type", value)).status == 400


def test_gb09_each_format_may_be_answered_in_the_other() -> None:
    json_in = accepted(("Accept", "multipart/mixed, application/json;q=0.1"))
    assert (json_in.dialect, json_in.answer, json_in.ordered) == ("json", "multipart", True)
    multipart = ("Content-Type", "multipart/mixed; boundary=b")
    json_out = accepted(multipart, ("Accept", "application/json"), ("OData-Version", "4.01"))
    assert (json_out.dialect, json_out.answer, json_out.ordered) == ("multipart", "json", True)


def test_pr03_compatible_clients_get_multipart_back() -> None:
    multipart = ("Content-Type", "multipart/mixed; boundary=b")
    assert accepted(multipart, ("Accept", "application/json")).answer == "multipart"
    assert accepted(multipart, ("Accept", "application/json"), query="$format=json").answer == "json"
    assert refused(multipart, ("Accept", "text/csv")).status == 406


def test_hd16_default_of_continue_on_error_follows_the_request() -> None:
    multipart = ("Content-Type", "multipart/mixed; boundary=b")
    assert not accepted(multipart).continue_on_error
    assert not accepted(multipart, ("Accept", "application/json"), ("OData-Version", "4.01")).continue_on_error
    assert accepted(multipart, ("Prefer", "odata.continue-on-error")).continue_on_error
    assert accepted(("Accept", "multipart/mixed")).continue_on_error
    assert accepted(multipart, policy=Policy(flat_change_sets=True)).continue_on_error


def test_gb05_absent_odata_version_is_no_error() -> None:
    assert accepted().status == 200


def test_gb06_gb08_accept_json_is_answered_200_json() -> None:
    outcome = accepted(("Accept", "application/json"))
    assert (outcome.status, outcome.answer) == (200, "json")
    assert answer(outcome)["content-type"] == "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/*",
        "application/json;odata.metadata=none",
        "application/json, text/plain, */*",
        "text/html, */*;q=0.1",
        'application/json;x="a,b";q=0.5',
        "*",
    ],
)
def test_gb10_gb11_ranges_that_allow_json(accept: str) -> None:
    assert accepted(("Accept", accept)).answer == "json"


@pytest.mark.parametrize(
    "accept",
    [
        "text/csv",
        "application/json;q=0",
        "*/*;q=0",
        "nonsense",
        "application/json;q=x",
    ],
)
def test_gb10_nothing_acceptable_is_406(accept: str) -> None:
    refusal = refused(("Accept", accept))
    assert refusal.status == 406
    assert "multipart/mixed" in refusal.message


@pytest.mark.parametrize("lines", [(), (("Accept", ""),)])
def test_gb11_without_accept_the_format_of_the_request(lines: tuple[tuple[str, str], ...]) -> None:
    assert accepted(*lines).answer == "json"


@pytest.mark.parametrize(
    "query",
    [
        "$format=json",
        "%24format=JSON",
        "$FORMAT=application/json;odata.metadata=none",
        "$format=application%2Fjson",
    ],
)
def test_gb12_format_overrides_accept(query: str) -> None:
    assert accepted(("Accept", "text/csv"), query=query).answer == "json"


@pytest.mark.parametrize("query", ["$format=xml", "$format="])
def test_gb12_unknown_format_is_406(query: str) -> None:
    assert refused(("Accept", "application/json"), query=query).status == 406


def test_gb12_format_given_twice_is_400() -> None:
    assert refused(query="$format=json&$format=json").status == 400


@pytest.mark.parametrize("query", ["sap-client=100", "top=1", "a=$b", "", "x", "a=1&b=%24top"])
def test_gb13_custom_options_are_allowed(query: str) -> None:
    assert accepted(query=query).status == 200


@pytest.mark.parametrize("query", ["$top=1", "%24filter=x", "a=1&$unknown=2", "$format=json&$skip=1", "@p=1", "$"])
def test_gb13_system_and_unknown_dollar_options_are_400(query: str) -> None:
    assert refused(query=query).status == 400


@pytest.mark.parametrize("lines", [(), (("If-Match", "x"),), (("Content-Type", "a/b"),)])
def test_gb14_every_answer_has_odata_version(lines: tuple[tuple[str, str], ...]) -> None:
    outcome = head(*lines)
    assert not isinstance(outcome, Probe)
    assert answer(outcome)["odata-version"] == "4.0"


@pytest.mark.parametrize("prefer", ["respond-async", "respond-async, wait=5"])
def test_gb15_as01_respond_async_is_not_applied(prefer: str) -> None:
    outcome = accepted(("Prefer", prefer))
    assert outcome.status == 200
    assert outcome.deadline == 0
    assert "preference-applied" not in answer(outcome)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=1", 0.9),
        ("WAIT=100", 99),
        ("odata.wait=10", 9),
        ('wait="10"', 9),
        ("wait=10, wait=1", 9),
        ("wait=0", 0),
        ("wait", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=soon", 0),
        ("wait=00000000000010", 9),
        ("wait=999999999", 999999998),
        ("wait=1000000000", 0),
        ("wait=99999999999999999999", 0),
    ],
)
def test_hd13_wait_is_the_deadline_of_the_batch(prefer: str, seconds: float) -> None:
    outcome = accepted(("Prefer", prefer))
    assert outcome.deadline == pytest.approx(seconds)
    assert ("preference-applied" in answer(outcome)) == bool(seconds)


@pytest.mark.parametrize("version", ["9.0", "4.02", "0.9", "3.1", "2.5", "abc", "4", "4.01.1"])
def test_hd01_unknown_odata_version_is_400(version: str) -> None:
    assert refused(("OData-Version", version)).status == 400


@pytest.mark.parametrize(
    ("lines", "version", "strict"),
    [
        ((), "4.0", False),
        ((("OData-Version", "4.0"),), "4.0", False),
        ((("OData-Version", "4.01"),), "4.01", True),
        ((("OData-MaxVersion", "4.0"),), "4.0", False),
        ((("OData-MaxVersion", "4.01"),), "4.01", True),
        ((("OData-MaxVersion", "9.9"),), "4.01", True),
        ((("OData-MaxVersion", "4.0;NetFx"),), "4.0", False),
        ((("OData-Version", "4.0"), ("OData-MaxVersion", "4.01")), "4.01", True),
        ((("OData-Version", "4.01"), ("OData-MaxVersion", "4.0")), "4.0", True),
    ],
)
def test_hd01_hd23_pr01_version_and_profile(lines: Any, version: str, strict: bool) -> None:
    outcome = accepted(*lines)
    assert (outcome.version, outcome.strict) == (version, strict)
    assert answer(outcome)["odata-version"] == version


def test_hd23_max_version_below_4_is_400() -> None:
    assert refused(("OData-MaxVersion", "3.0")).status == 400


@pytest.mark.parametrize(("profile", "strict"), [("strict", True), ("compatible", False)])
def test_pr01_a_route_may_force_a_profile(profile: str, strict: bool) -> None:
    for lines in ((), (("OData-Version", "4.01"),)):
        assert accepted(*lines, policy=Policy(profile=profile)).strict is strict


def test_hd02_hd04_versions_and_languages_are_inherited() -> None:
    assert inherited(
        ("OData-Version", "4.0"),
        ("OData-MaxVersion", "4.0"),
        ("Accept-Charset", "utf-8"),
        ("Accept-Language", "de"),
        ("Accept-Language", "en;q=0.5"),
        ("Content-Language", "en"),
        ("traceparent", "00-1-2-01"),
        ("tracestate", "a=b"),
    ) == {
        "odata-version": "4.0",
        "odata-maxversion": "4.0",
        "accept-charset": "utf-8",
        "accept-language": "de, en;q=0.5",
        "content-language": "en",
        "traceparent": "00-1-2-01",
        "tracestate": "a=b",
    }


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json;odata.metadata=none", "application/json;odata.metadata=none"),
        (
            "multipart/mixed, application/json;odata.metadata=none;q=0.9",
            "application/json;odata.metadata=none;q=0.9",
        ),
        ("application/json", None),
        ("application/json;q=0.9", None),
        ("*/*", None),
        ("application/json, */*;q=0.1", None),
        ("multipart/mixed, application/json", None),
        ("application/json, text/plain, */*", "application/json, text/plain, */*"),
    ],
)
def test_hd03_gw08_accept_is_inherited_without_batch_negotiation(accept: str, expected: str | None) -> None:
    assert inherited(("Accept", accept)).get("accept") == expected


def test_hd05_hd08_hd09_only_two_preferences_are_inherited() -> None:
    prefer = (
        'odata.include-annotations="display.*", Allow-EntityReferences, respond-async, continue-on-error,'
        " maxpagesize=2, track-changes, wait=3, callback; url=x"
    )
    assert inherited(("Prefer", prefer))["prefer"] == ('odata.include-annotations="display.*", Allow-EntityReferences')
    assert "prefer" not in inherited(("Prefer", "maxpagesize=2, respond-async"))


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["*", '"1"', ""])
def test_hd06_gb07_if_match_on_the_batch_is_400(name: str, value: str) -> None:
    assert refused((name, value)).status == 400


def test_hd06_the_literal_null_counts_as_absent() -> None:
    outcome = accepted(("If-None-Match", "null"), ("If-Match", "null"))
    assert outcome.inherited == []


@pytest.mark.parametrize("name", ["Isolation", "OData-Isolation"])
def test_hd07_isolation_is_412(name: str) -> None:
    assert refused((name, "snapshot")).status == 412


@pytest.mark.parametrize("prefer", ["return=minimal", "odata.x, RETURN=representation", "return"])
def test_hd10_return_on_the_batch_is_400(prefer: str) -> None:
    assert refused(("Prefer", prefer)).status == 400


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("continue-on-error", "continue-on-error=true"),
        ("odata.continue-on-error=false", "odata.continue-on-error=false"),
        ("order=request, continue-on-error", "continue-on-error=true, order=request"),
        ("order=completion", "order=completion"),
        ("order=alphabet, x", None),
    ],
)
def test_hd12_preference_applied_describes_the_batch(prefer: str, applied: str | None) -> None:
    assert answer(accepted(("Prefer", prefer))).get("preference-applied") == applied


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["continue-on-error=false"], False),
        (["odata.continue-on-error=false"], False),
        (["CONTINUE-ON-ERROR = False"], False),
        (['continue-on-error="FALSE"'], False),
        (['x; y=1, CONTINUE-ON-ERROR="TRUE"'], True),
        (["x", "continue-on-error=false"], False),
        (["continue-on-error=false, continue-on-error=true"], False),
        (["odata.continue-on-error=false", "continue-on-error"], False),
        (["continue-on-error=false; a=b; c"], False),
        (['foo="a, continue-on-error=true", continue-on-error=false'], False),
        (['=, "x", a b, continue-on-error=false'], False),
        (["continue-on-error=perhaps"], True),
        (['continue-on-error=""'], True),
        (["x-continue-on-error=false"], True),
        (['a="\\"", continue-on-error=false'], False),
        (['a="unterminated, continue-on-error=false'], True),
    ],
)
def test_hd14_hd15_preference_parsing(lines: list[str], expected: bool) -> None:
    assert accepted(*(("Prefer", line) for line in lines)).continue_on_error is expected


def test_hd15_a_hostile_prefer_header_takes_linear_time() -> None:
    for text in (
        '"\\' * 30000,
        'a="\\"' * 15000,
        "a;" * 30000,
        " " * 60000,
        "a=" + " " * 60000,
        ',"' * 30000,
    ):
        parse_preferences(text)
        parse_accept(text)
        parse_media_type(text)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("name", ["Accept", "Connection", "Content-Type", "Prefer"])
def test_PL_01_lists_of_the_outer_head_have_a_bound(name: str, separator: str) -> None:
    """HTTP/2 says thousands of elements in one byte."""
    refusal = refused((name, separator.join(["a"] * (MOST_ELEMENTS + 1))))
    assert (refusal.status, refusal.code) == (431, "TooManyElements")


def test_PL_01_as_many_elements_as_may_be() -> None:
    ranges = ", ".join([f"a/b{n}" for n in range(MOST_ELEMENTS - 1)] + ["*/*"])
    preferences = ", ".join([f"a{n}" for n in range(MOST_ELEMENTS - 1)] + ["continue-on-error=false"])
    outcome = accepted(("Accept", ranges), ("Prefer", preferences))
    assert outcome.answer == "json"
    assert outcome.continue_on_error is False


def test_PL_01_elements_in_several_lines_are_counted_together() -> None:
    lines = [("Accept", "a/b")] * (MOST_ELEMENTS + 1)
    assert refused(*lines).code == "TooManyElements"


def test_PL_01_options_of_the_document_dialect_have_a_bound() -> None:
    fields = [(b"content-type", b"multipart/mixed; boundary=b")]
    refusal = document.negotiate(OuterRequest("PUT", "http", b"a&" * MOST_ELEMENTS, fields), Policy())
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (414, "TooManyElements")


def test_hd16_json_goes_on_by_default() -> None:
    assert accepted().continue_on_error is True


@pytest.mark.parametrize(
    ("coding", "decoding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("identity", ""),
        ("", ""),
    ],
)
def test_hd19_content_encoding_is_decoded_and_not_inherited(coding: str, decoding: str) -> None:
    outcome = accepted(("Content-Encoding", coding))
    assert outcome.decoding == decoding
    assert outcome.inherited == []


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip, br"])
def test_hd19_other_content_encodings_are_415(coding: str) -> None:
    refusal = refused(("Content-Encoding", coding))
    assert refusal.status == 415
    assert "gzip" in answer(refusal)["accept-encoding"]


def test_hd21_the_answer_has_no_etag_location_or_entity_id() -> None:
    outcome = accepted(("Prefer", "continue-on-error"), ("Accept", "*/*"), ("OData-MaxVersion", "4.01"))
    assert set(answer(outcome)) == {"content-type", "odata-version", "preference-applied", "vary"}


def test_hd22_vary() -> None:
    assert answer(accepted())["vary"] == "OData-MaxVersion, Prefer"
    assert answer(accepted(("Accept", "*/*")))["vary"] == "OData-MaxVersion, Prefer, Accept"


def test_er01_er02_refusals_are_odata_errors_in_english() -> None:
    refusal = refused(("If-Match", "*"))
    error = json.loads(refusal.body())["error"]
    assert error["code"] == "HeaderNotAllowed"
    assert error["message"]
    assert answer(refusal)["content-language"] == "en"
    assert answer(refusal)["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("host", "authority"),
    [("gw.example:8080", "gw.example:8080"), ("GW.Example", "gw.example"), ("[::1]:80", "[::1]:80")],
)
def test_gw05_authority_is_the_host_field(host: str, authority: str) -> None:
    request = OuterRequest("POST", "https", b"", [(b"host", host.encode()), (b"content-type", b"application/json")])
    outcome = negotiate(request, Policy())
    assert isinstance(outcome, Accepted)
    assert outcome.authority == ("https", authority)


def test_gw05_authority_without_host_is_the_listener() -> None:
    request = OuterRequest("POST", "http", b"", [(b"content-type", b"application/json")], authority="127.0.0.1:8080")
    outcome = negotiate(request, Policy())
    assert isinstance(outcome, Accepted)
    assert outcome.authority == ("http", "127.0.0.1:8080")


@pytest.mark.parametrize("host", ["a/b", "a b", "user@host", "a:port", "[::1"])
def test_gw05_a_malformed_host_is_400(host: str) -> None:
    request = OuterRequest("POST", "http", b"", [(b"host", host.encode()), (b"content-type", b"application/json")])
    outcome = negotiate(request, Policy())
    assert isinstance(outcome, Refusal)
    assert outcome.status == 400


@pytest.mark.parametrize("name", ["Content-Type", "Authorization", "batchwire-hop"])
def test_gw12_fields_that_must_be_single_are_400_when_repeated(name: str) -> None:
    assert refused((name, "1"), (name, "1")).status == 400


def test_gw08_nothing_else_is_inherited() -> None:
    lines = [
        (name, "x")
        for name in (
            "Host2",
            "Connection",
            "Content-Length",
            "Transfer-Encoding",
            "Cookie",
            "X-Forwarded-For",
            "Forwarded",
            "User-Agent",
            "TE",
            "Expect",
            "X-Custom",
            "Via",
            "Range",
        )
    ]
    assert inherited(*lines) == {}


def test_gw17_authorization_is_handed_over_apart() -> None:
    outcome = accepted(("Authorization", "Bearer t"))
    assert outcome.authorization == b"Bearer t"
    assert outcome.inherited == []
    assert accepted().authorization is None


def test_gw13_a_content_length_beyond_the_limit_is_413() -> None:
    policy = Policy(max_request_bytes=100)
    assert refused(("Content-Length", "101"), policy=policy).status == 413
    assert accepted(("Content-Length", "100"), policy=policy).status == 200


@pytest.mark.parametrize(
    ("lines", "ordered"),
    [
        ((), True),
        ((("OData-Version", "4.01"),), False),
        ((("OData-Version", "4.01"), ("Prefer", "order=request")), True),
        ((("Prefer", "order=completion"),), False),
        ((("Prefer", "order=x"),), True),
    ],
)
def test_gw23_pr04_order_of_results(lines: Any, ordered: bool) -> None:
    assert accepted(*lines).ordered is ordered


def test_loops_are_508_and_hops_are_counted() -> None:
    policy = Policy(max_hops=4)
    assert accepted(policy=policy).hops == 1
    assert accepted(("batchwire-hop", "3"), policy=policy).hops == 4
    refusal = refused(("batchwire-hop", "4"), policy=policy)
    assert (refusal.status, refusal.code) == (508, "LoopDetected")
    for value in ("x", "-1", "", "99999"):
        assert refused(("batchwire-hop", value), policy=policy).status == 400


@pytest.mark.parametrize("name", ["DataServiceVersion", "MaxDataServiceVersion"])
def test_pr06_protocol_version_3_is_answered_202(name: str) -> None:
    assert accepted((name, "3.0;NetFx")).status == 202


def test_pr06_a_route_may_ask_for_202() -> None:
    assert accepted(policy=Policy(status_202=True)).status == 202


def test_pr08_head_is_a_probe() -> None:
    outcome = head(("x-csrf-token", "Fetch"), ("If-Match", "*"), method="HEAD")
    assert isinstance(outcome, Probe)
    assert (b"odata-version", b"4.0") in outcome.headers


def test_the_head_of_the_batch_says_what_was_negotiated() -> None:
    found = accepted(("accept", "multipart/mixed"), ("batchwire-hop", "2"), ("authorization", "Bearer a"))
    head = found.batch_head()
    assert (head.dialect, head.answer, head.strict, head.hops) == ("json", "multipart", found.strict, 3)
    assert (head.headers, head.authorization, head.authority) == (found.inherited, b"Bearer a", found.authority)
    assert (head.answer_boundary, head.boundary, head.ordered) == (found.answer_boundary, None, found.ordered)
    assert not head.watched
    assert (head.deadline, accepted(("prefer", "wait=10")).batch_head().deadline) == (0, 9)


@pytest.mark.parametrize(
    ("highest", "said"),
    [(None, "4.0"), ("4.0", "4.0"), ("4.01", "4.01"), ("4.02", "4.01"), ("9.9", "4.01"), ("3.0", "4.0"), ("x", "4.0")],
)
@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ([("content-type", "text/plain")], "POST"),
        ([("if-match", "*")], "POST"),
        ([("content-length", "1"), ("content-length", "1")], "POST"),
        ([], "GET"),
        ([], "HEAD"),
    ],
)
def test_HD_23_refusals_and_probes_say_a_version_within_the_highest(
    highest: str | None, said: str, fields: list[tuple[str, str]], method: str
) -> None:
    outcome = head(*fields, *([("odata-maxversion", highest)] if highest else []), method=method)
    assert isinstance(outcome, Refusal | Probe)
    assert dict(outcome.headers)[b"odata-version"].decode() == said
