// Drives the public Node document SDK, unmodified, against a demo whose base URL is the argument.
//
// Run beside its node_modules. Checks what comes back itself and prints one JSON line of what it found; a failed check
// ends it with an error. Contacts nothing but the base URL.
"use strict";

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const { Readable } = require("node:stream");
const sdk = require("asposewordscloud");

const WORK = `node ${randomUUID().slice(0, 8)}`;
const NAME = "Grüße an alle.docx";
const PATH = `${WORK}/${NAME}`;

// The SDK encodes the URL of a single call, but puts that of a call in a batch into its part as it is.
const inBatch = (path) => encodeURI(path);
const stream = (data) => Readable.from([Buffer.from(data)]);
const part = (request) => new sdk.BatchPartRequest(request);
const texts = (answer) => answer.paragraphs.paragraphLinkList.map((link) => link.text);
const isZip = (data) => data.subarray(0, 4).equals(Buffer.from("PK\x03\x04"));

/** Upload, read, change and download, each as a call of its own. */
async function singleCalls(api, source) {
  const uploaded = await api.uploadFile(new sdk.UploadFileRequest({ fileContent: stream(source), path: PATH }));
  assert.deepEqual(uploaded.body.uploaded, [PATH]);
  const downloaded = await api.downloadFile(new sdk.DownloadFileRequest({ path: PATH }));
  assert.ok(downloaded.body.equals(source), "the download is not what was uploaded");

  const info = await api.getDocument(new sdk.GetDocumentRequest({ documentName: NAME, folder: WORK }));
  assert.equal(info.body.document.fileName, NAME);
  assert.equal(info.body.document.sourceFormat, "Docx");

  // A form of two fields: the SDK sends it in a single call, but as an empty body in a batch, so never there.
  const changed = await api.insertParagraphOnline(
    new sdk.InsertParagraphOnlineRequest({
      document: stream(source),
      paragraph: new sdk.ParagraphInsert({ text: "nur hier" }),
    }),
  );
  assert.ok(changed.body.model.paragraph.nodeId);
  const [document] = changed.body.document.values();
  const seen = await api.getParagraphsOnline(new sdk.GetParagraphsOnlineRequest({ document: stream(document) }));
  assert.ok(texts(seen.body).includes("nur hier"));

  const replaced = await api.replaceText(
    new sdk.ReplaceTextRequest({
      name: NAME,
      folder: WORK,
      replaceText: new sdk.ReplaceTextParameters({
        oldValue: "batch",
        newValue: "Stapel",
        isMatchCase: true,
        isMatchWholeWord: false,
        isOldValueRegex: false,
      }),
    }),
  );
  const found = await api.search(new sdk.SearchRequest({ name: NAME, folder: WORK, pattern: "Stapel" }));
  assert.ok(replaced.body.matches > 0);
  assert.equal(found.body.searchResults.resultsList.length, replaced.body.matches);
  return { uploadedBytes: source.length, matches: replaced.body.matches };
}

/** Calls that need nothing of each other; one of them fails and disturbs no other. */
async function concurrentBatch(api) {
  const { body: results } = await api.batch(
    part(new sdk.GetParagraphsRequest({ name: "welcome.docx", nodePath: "sections/0" })),
    part(new sdk.GetDocumentStatisticsRequest({ name: "report.docx" })),
    part(new sdk.GetParagraphsRequest({ name: `none-${randomUUID()}.docx` })),
    part(new sdk.GetDocumentWithFormatRequest({ name: "report.docx", format: "txt" })),
    part(new sdk.GetDocumentRequest({ documentName: inBatch(NAME), folder: WORK })),
  );
  assert.equal(results.length, 5);
  const [paragraphs, statistics, missing, text, info] = results;
  assert.ok(texts(paragraphs).includes("Welcome to the demo"));
  assert.ok(statistics.statData.wordCount > 10);
  // The SDK looks at no status inside a batch: a failed call comes back as a model with nothing in it.
  assert.ok(missing instanceof sdk.ParagraphLinkCollectionResponse);
  assert.equal(missing.paragraphs, undefined);
  assert.ok(text.toString().includes("Quarterly report"));
  assert.equal(info.document.fileName, NAME);
  return { results: results.length, failedIsEmpty: missing.paragraphs === undefined };
}

/** Calls in the order of DependsOn, each on what the one before it left behind. */
async function chain(api) {
  const name = "chain.docx";
  const insert = (text) =>
    part(new sdk.InsertParagraphRequest({ name, folder: WORK, paragraph: new sdk.ParagraphInsert({ text }) }));
  const order = [
    part(new sdk.CreateDocumentRequest({ fileName: name, folder: WORK })),
    insert("erste Zeile"),
    insert("zweite Zeile – grün"),
    part(new sdk.GetParagraphsRequest({ name, folder: WORK })),
  ];
  for (let at = 1; at < order.length; at += 1) order[at].dependsOn(order[at - 1]);
  const { body: results } = await api.batch(...order);
  assert.equal(results[0].document.fileName, name);
  assert.deepEqual(texts(results[3]), ["erste Zeile", "zweite Zeile – grün"]);

  const broken = part(new sdk.GetParagraphRequest({ name, folder: WORK, index: 99 }));
  const child = insert("darf nicht entstehen");
  child.dependsOn(broken);
  await api.batch(broken, child);
  const kept = await api.getParagraphs(new sdk.GetParagraphsRequest({ name, folder: WORK }));
  assert.equal(texts(kept.body).length, 2, "a call ran although what it depends on failed");
  return { order: texts(kept.body) };
}

/** The bytes of one call's answer as the document of the next. */
async function resultOf(api) {
  const convert = part(new sdk.ConvertDocumentRequest({ document: stream("eins\nzwei drei"), format: "docx" }));
  const path = `${WORK}/made.docx`;
  const store = part(new sdk.UploadFileRequest({ fileContent: convert.useAsSource(), path: inBatch(path) }));
  store.dependsOn(convert);
  const online = part(new sdk.GetParagraphsOnlineRequest({ document: convert.useAsSource() }));
  online.dependsOn(convert);
  const read = part(new sdk.GetParagraphsRequest({ name: "made.docx", folder: WORK }));
  read.dependsOn(store);
  const { body: results } = await api.batch(convert, store, online, read);
  const [made, stored, seen, kept] = results;
  assert.ok(isZip(made));
  assert.deepEqual(stored.uploaded, [path]);
  assert.deepEqual(texts(seen), ["eins", "zwei drei"]);
  assert.deepEqual(texts(kept), ["eins", "zwei drei"]);
  const downloaded = await api.downloadFile(new sdk.DownloadFileRequest({ path }));
  assert.ok(downloaded.body.equals(made), "the storage has not what the first call answered");

  const again = part(new sdk.ConvertDocumentRequest({ document: stream("one\ntwo"), format: "html" }));
  const last = part(new sdk.GetParagraphsOnlineRequest({ document: again.useAsSource() }));
  last.dependsOn(again);
  const { body: only } = await api.batchWithoutIntermediateResults(again, last);
  assert.equal(only.length, 1, "only the last result was asked for");
  assert.ok(texts(only[0]).includes("<p>one</p>"));
  return { madeBytes: made.length, paragraphs: texts(kept) };
}

/** A batch of one call. */
async function batchOfOne(api) {
  const { body: results } = await api.batch(part(new sdk.GetDocumentStatisticsRequest({ name: "welcome.docx" })));
  assert.equal(results.length, 1);
  assert.ok(results[0].statData.wordCount > 10);
  return { results: results.length };
}

async function remove(api) {
  for (const name of [NAME, "chain.docx", "made.docx"]) {
    await api.deleteFile(new sdk.DeleteFileRequest({ path: `${WORK}/${name}` }));
  }
  const failure = await api.downloadFile(new sdk.DownloadFileRequest({ path: PATH })).then(
    () => assert.fail("a deleted document can still be read"),
    (error) => error,
  );
  assert.equal(failure.response.statusCode, 404);
  assert.equal(failure.body.error.code, "DocumentNotFound");
  return { afterDeletion: failure.response.statusCode };
}

async function main() {
  const api = new sdk.WordsApi("client-id", "client-secret", process.argv[2]);
  const source = (await api.downloadFile(new sdk.DownloadFileRequest({ path: "welcome.docx" }))).body;
  const found = {};
  found.single = await singleCalls(api, source);
  found.concurrent = await concurrentBatch(api);
  found.chain = await chain(api);
  found.resultOf = await resultOf(api);
  found.batchOfOne = await batchOfOne(api);
  found.remove = await remove(api);
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  // What the SDK throws holds the whole exchange; the error in it says what went wrong.
  console.error(error.body ? JSON.stringify(error.body) : error);
  process.exitCode = 1;
});
