"""Entity tags: If-Match, If-None-Match, and changes that run at the same time."""

import asyncio

import httpx
import pytest


def test_if_none_match_on_reads(client: httpx.Client) -> None:
    for url in (
        "welcome.docx",
        "welcome.docx/text",
        "welcome.docx/export?format=html",
        "welcome.docx/statistics",
        "welcome.docx/paragraphs",
        "welcome.docx/paragraphs/0",
        "storage/file/welcome.docx",
    ):
        etag = client.get(url).headers["etag"]
        for condition in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = client.get(url, headers={"if-none-match": condition})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == etag
        assert client.get(url, headers={"if-none-match": '"other"'}).status_code == 200
        assert client.get(url, headers={"if-match": '"other"'}).status_code == 412
        assert client.get(url, headers={"if-match": etag}).status_code == 200


def test_condition_does_not_hide_a_404(client: httpx.Client) -> None:
    headers = {"if-none-match": "*"}
    assert client.get("welcome.docx/paragraphs/99", headers=headers).status_code == 404
    assert client.get("no.docx", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("POST", "welcome.docx/paragraphs", {"Text": "x"}, 201),
        ("PUT", "welcome.docx/paragraphs/0", {"Text": "x"}, 200),
        ("PATCH", "welcome.docx/paragraphs/0", {"Text": "x"}, 200),
        ("DELETE", "welcome.docx/paragraphs/0", None, 204),
        ("PUT", "welcome.docx/replaceText", {"OldValue": "e", "NewValue": "x"}, 200),
        ("POST", "welcome.docx/copy", {"DestName": "c.docx"}, 201),
        ("PUT", "storage/file/welcome.docx", {}, 200),
        ("DELETE", "storage/file/welcome.docx", None, 204),
        ("DELETE", "welcome.docx", None, 204),
    ],
)
def test_if_match_on_writes(
    client: httpx.Client, method: str, url: str, body: dict[str, str] | None, status: int
) -> None:
    etag = client.get("welcome.docx").headers["etag"]
    for condition in ('"other"', f"W/{etag}", "nonsense", ""):
        answer = client.request(method, url, json=body, headers={"if-match": condition})
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "PreconditionFailed")
        assert client.get("welcome.docx").headers["etag"] == etag
    answer = client.request(method, url, json=body, headers={"if-match": f'"other", {etag}'})
    assert answer.status_code == status
    if status != 204 and method != "POST":
        assert answer.headers["etag"] != etag


def test_create_only_and_replace_only_uploads(client: httpx.Client) -> None:
    def put(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.put("storage/file/a.docx", content=b"x", headers=named).status_code

    assert put(if_match="*") == 412
    assert put(if_none_match="*") == 201
    assert put(if_none_match="*") == 412
    assert put(if_match="*") == 200


def test_unchanged_document_keeps_its_tag(client: httpx.Client) -> None:
    etag = client.get("welcome.docx").headers["etag"]
    answer = client.put("welcome.docx/replaceText", json={"OldValue": "not there", "NewValue": ""})
    assert (answer.json()["Matches"], answer.headers["etag"]) == (0, etag)


async def test_concurrent_changes_of_one_document_are_all_kept(root: str) -> None:
    async with httpx.AsyncClient(base_url=root, timeout=60) as client:
        await client.post("documents", json={"Name": "a.docx"})
        answers = await asyncio.gather(*(client.post("a.docx/paragraphs", json={"Text": str(n)}) for n in range(12)))
        assert [answer.status_code for answer in answers] == [201] * 12
        assert len({answer.headers["location"] for answer in answers}) == 12
        text = (await client.get("a.docx/text")).text
    assert sorted(map(int, text.split())) == list(range(12))


async def test_of_many_creators_one_wins(root: str) -> None:
    async with httpx.AsyncClient(base_url=root, timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post("documents", json={"Name": "a.docx"}) for _ in range(8)),
            *(client.post("welcome.docx/copy", json={"DestName": "a.docx"}) for _ in range(8)),
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 15


async def test_of_many_conditional_changes_one_wins(root: str) -> None:
    async with httpx.AsyncClient(base_url=root, timeout=60) as client:
        etag = (await client.get("welcome.docx")).headers["etag"]
        headers = {"if-match": etag}
        answers = await asyncio.gather(
            *(client.put("welcome.docx/paragraphs/0", json={"Text": str(n)}, headers=headers) for n in range(6))
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5


async def test_small_calls_are_not_held_up_by_large_documents(root: str) -> None:
    async with httpx.AsyncClient(base_url=root, timeout=60) as client:
        many = [f"paragraph {n}" for n in range(8000)]
        await client.post("documents", json={"Name": "large.docx", "Paragraphs": many})
        slow = asyncio.create_task(client.get("large.docx/export?format=html"))
        await asyncio.sleep(0.05)
        quick = 0
        while not slow.done():
            assert (await client.get("storage/folder")).status_code == 200
            quick += 1
        assert (await slow).status_code == 200
    assert quick >= 3
