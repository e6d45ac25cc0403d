"""Drives the public Python document SDK, unmodified, against a demo whose base URL is the argument.

Run with the python of its own environment. Checks what comes back itself and prints one JSON line of what it found;
a failed check ends it with a traceback. Contacts nothing but the base URL.
"""

import io
import itertools
import json
import sys
import uuid
import zipfile

from asposewordscloud import WordsApi
from asposewordscloud.models import ParagraphInsert, ReplaceTextParameters
from asposewordscloud.models.requests import (
    BatchRequest,
    ConvertDocumentRequest,
    CreateDocumentRequest,
    DeleteFileRequest,
    DeleteParagraphRequest,
    DownloadFileRequest,
    GetDocumentRequest,
    GetDocumentStatisticsRequest,
    GetDocumentWithFormatRequest,
    GetFilesListRequest,
    GetParagraphRequest,
    GetParagraphsOnlineRequest,
    GetParagraphsRequest,
    InsertParagraphOnlineRequest,
    InsertParagraphRequest,
    ReplaceTextRequest,
    SearchRequest,
    UploadFileRequest,
)
from asposewordscloud.rest import ApiException

WORK = f"python {uuid.uuid4().hex[:8]}"
NAME = "Grüße an alle.docx"
PATH = f"{WORK}/{NAME}"


def named(data, name):
    """A file object as the SDK wants it: with a name."""
    file = io.BytesIO(data)
    file.name = name
    return file


def texts(answer):
    return [link.text for link in answer.paragraphs.paragraph_link_list]


def single_calls(api, source):
    """Upload, read, change, download and delete, each as a call of its own."""
    uploaded = api.upload_file(UploadFileRequest(named(source, "source.docx"), PATH))
    assert uploaded.uploaded == [PATH], uploaded
    assert api.download_file(DownloadFileRequest(PATH)) == source

    info = api.get_document(GetDocumentRequest(NAME, folder=WORK)).document
    assert (info.file_name, info.file_size, info.source_format) == (NAME, len(source), "Docx"), info
    listed = api.get_files_list(GetFilesListRequest(WORK)).value
    assert [(file.name, file.size) for file in listed] == [(NAME, len(source))], listed

    changed = api.insert_paragraph_online(
        InsertParagraphOnlineRequest(named(source, "source.docx"), ParagraphInsert(text="nur hier"))
    )
    assert changed.model.paragraph.node_id, changed.model
    assert "nur hier" in texts(api.get_paragraphs_online(GetParagraphsOnlineRequest(changed_file(changed))))
    assert api.download_file(DownloadFileRequest(PATH)) == source, "an online call changed the stored document"

    wanted = ReplaceTextParameters(
        old_value="batch", new_value="Stapel", is_match_case=True, is_match_whole_word=False, is_old_value_regex=False
    )
    matches = api.replace_text(ReplaceTextRequest(NAME, wanted, folder=WORK)).matches
    assert matches > 0
    found = api.search(SearchRequest(NAME, "Stapel", folder=WORK)).search_results.results_list
    assert len(found) == matches, found
    return {"uploaded_bytes": len(source), "matches": matches}


def changed_file(changed):
    (data,) = changed.document.values()
    return named(data, "changed.docx")


def concurrent_batch(api):
    """Calls that need nothing of each other; one of them fails and disturbs no other."""
    results = api.batch(
        BatchRequest(GetParagraphsRequest("welcome.docx", node_path="sections/0")),
        BatchRequest(GetDocumentStatisticsRequest("report.docx")),
        BatchRequest(GetParagraphsRequest(f"none {uuid.uuid4()}.docx")),
        BatchRequest(GetDocumentWithFormatRequest("report.docx", "txt")),
        BatchRequest(GetDocumentRequest(NAME, folder=WORK)),
    )
    paragraphs, statistics, missing, text, info = results
    assert "Welcome to the demo" in texts(paragraphs)
    assert statistics.stat_data.word_count > 10
    assert isinstance(missing, ApiException), missing
    assert missing.status == 404, missing
    assert b"Quarterly report" in text
    assert info.document.file_name == NAME
    return {"results": len(results), "failed_with": missing.status}


def chain(api):
    """Calls in the order of DependsOn, each on what the one before it left behind."""
    name = "chain.docx"
    create = BatchRequest(CreateDocumentRequest(file_name=name, folder=WORK))
    first = BatchRequest(InsertParagraphRequest(name, ParagraphInsert(text="erste Zeile"), folder=WORK))
    second = BatchRequest(InsertParagraphRequest(name, ParagraphInsert(text="zweite Zeile"), folder=WORK))
    delete = BatchRequest(DeleteParagraphRequest(name, 0, folder=WORK))
    read = BatchRequest(GetParagraphRequest(name, 0, folder=WORK))
    listed = BatchRequest(GetParagraphsRequest(name, folder=WORK))
    order = [create, first, second, delete, read, listed]
    for parent, child in itertools.pairwise(order):
        child.depends_on(parent)
    results = api.batch(*order)
    assert results[0].document.file_name == name
    assert results[3] is None, results[3]
    assert results[4].paragraph.node_id == "0.0"
    assert texts(results[5]) == ["zweite Zeile"], texts(results[5])

    broken = BatchRequest(GetParagraphRequest(name, 99, folder=WORK))
    child = BatchRequest(GetParagraphsRequest(name, folder=WORK))
    child.depends_on(broken)
    failed, not_run = api.batch(broken, child)
    assert failed.status == 404, failed
    assert isinstance(not_run, ApiException), "a call ran although what it depends on failed"
    return {"order": texts(results[5]), "not_run": not_run.status}


def result_of(api):
    """The bytes of one call's answer as the document of the next: text, and a .docx that goes into the storage."""
    convert = BatchRequest(ConvertDocumentRequest(named(b"eins\nzwei drei", "text.txt"), "docx"))
    store = BatchRequest(UploadFileRequest(convert.use_as_source(), f"{WORK}/made.docx"))
    store.depends_on(convert)
    online = BatchRequest(GetParagraphsOnlineRequest(convert.use_as_source()))
    online.depends_on(convert)
    read = BatchRequest(GetParagraphsRequest("made.docx", folder=WORK))
    read.depends_on(store)
    made, stored, seen, kept = api.batch(convert, store, online, read)
    assert zipfile.is_zipfile(io.BytesIO(made))
    assert stored.uploaded == [f"{WORK}/made.docx"]
    assert texts(seen) == texts(kept) == ["eins", "zwei drei"], (texts(seen), texts(kept))
    assert api.download_file(DownloadFileRequest(f"{WORK}/made.docx")) == made

    again = BatchRequest(ConvertDocumentRequest(named(b"one\ntwo", "text.txt"), "html"))
    last = BatchRequest(GetParagraphsOnlineRequest(again.use_as_source()))
    last.depends_on(again)
    answers = api.batch_with_options(True, again, last)
    assert len(answers) == 1, "only the last result was asked for"
    assert "<p>one</p>" in texts(answers[0])
    return {"made_bytes": len(made), "paragraphs": texts(kept)}


def nested_form(api):
    """resultOf as the content of a part of a form. The SDK cannot read a document beside a model in a batch, so the
    result of that call is left out and a later one says whether it ran."""
    convert = BatchRequest(ConvertDocumentRequest(named(b"form body", "text.txt"), "docx"))
    insert = BatchRequest(InsertParagraphOnlineRequest(convert.use_as_source(), ParagraphInsert(text="x")))
    insert.depends_on(convert)
    # A batch of one never leaves this SDK (its body is of a type that it then refuses), so no batch here has one call.
    last = BatchRequest(GetDocumentStatisticsRequest("welcome.docx"))
    last.depends_on(insert)
    (statistics,) = api.batch_with_options(True, convert, insert, last)
    assert not isinstance(statistics, ApiException), statistics
    return {"ran": True}


def delete(api):
    for name in (NAME, "chain.docx", "made.docx"):
        api.delete_file(DeleteFileRequest(f"{WORK}/{name}"))
    assert api.get_files_list(GetFilesListRequest(WORK)).value == []
    failure = None
    try:
        api.download_file(DownloadFileRequest(PATH))
    except ApiException as error:
        failure = error
    assert failure is not None, "a deleted document can still be read"
    assert (failure.status, failure.body.error.code) == (404, "DocumentNotFound"), failure
    return {"after_deletion": failure.status}


def main():
    api = WordsApi("client-id", "client-secret", sys.argv[1], timeout=20)
    source = api.download_file(DownloadFileRequest("welcome.docx"))
    found = {
        "single": single_calls(api, source),
        "concurrent": concurrent_batch(api),
        "chain": chain(api),
        "result_of": result_of(api),
        "nested_form": nested_form(api),
        "delete": delete(api),
    }
    print(json.dumps(found))


main()
