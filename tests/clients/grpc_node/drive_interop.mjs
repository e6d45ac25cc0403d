// grpc's client for Node.js against a gateway: the interoperability behaviours of grpc that fit this service.
// Usage: drive_interop.mjs ADDRESS GOOGLEAPIS_FOLDER PROTO_FOLDER HEALTH_FOLDER [CA_FILE], the folders being those
// that the paths of protobuf files start from. Behind the gateway an upstream answers GET and POST /size/N with N
// bytes; /held answers never. Prints what the test compares with what the upstream saw.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, googleapis, protos, healthFolder, caFile] = process.argv.slice(2);
const shape = { keepCase: true, longs: Number, defaults: true };
const definition = loader.loadSync("batchwire/v1/batch.proto", { ...shape, includeDirs: [protos, googleapis] });
const health = loader.loadSync("health.proto", { ...shape, includeDirs: [healthFolder] });
const { BatchService } = grpc.loadPackageDefinition(definition).batchwire.v1;
const { Health } = grpc.loadPackageDefinition(health).grpc.health.v1;
const credentials = caFile ? grpc.credentials.createSsl(readFileSync(caFile)) : grpc.credentials.createInsecure();
const unlimited = { "grpc.max_receive_message_length": -1, "grpc.enable_retries": 0 };
const client = new BatchService(address, credentials, unlimited);
const done = {};
const soon = () => new Date(Date.now() + 20_000);

function unary(method, request, options = {}, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const call = client[method](request, metadata, { deadline: soon(), ...options }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
    options.started?.(call);
  });
}

// A stream both ways whose messages are awaited one by one.
function stream(method, options = {}, metadata = new grpc.Metadata()) {
  const call = client[method](metadata, { deadline: soon(), ...options });
  const came = [];
  const waiting = [];
  const settle = (value) => (waiting.length ? waiting.shift()(value) : came.push(value));
  call.on("data", (message) => settle({ message }));
  call.on("end", () => settle({ end: true }));
  call.on("error", (error) => settle({ error }));
  const status = new Promise((resolve) => call.on("status", resolve));
  const initial = new Promise((resolve) => call.on("metadata", resolve));
  const next = () => (came.length ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { call, next, status, initial };
}

async function rest(reader) {
  const found = [];
  for (;;) {
    const { message, error } = await reader.next();
    if (error) throw error;
    if (!message) return found;
    found.push(message);
  }
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("no failure");
}

const options = { route: "/svc/" };
const get = (id, url) => ({ id, method: "GET", url });
const payload = (id, answer, body) => ({
  id,
  method: "POST",
  url: `size/${answer}`,
  headers: [{ name: "Content-Type", value: "application/octet-stream" }],
  body: Buffer.alloc(body),
});

// empty_unary, large_unary
const empty = await unary("Execute", {});
assert.equal(empty.results.length, 0);
const large = await unary("Execute", { options, calls: [payload("1", 314159, 271828)] });
assert.deepEqual([large.results[0].status, large.results[0].body.length], [200, 314159]);
done.large = large.results[0].body.length;

// client_streaming, server_streaming
const up = stream("Batch");
for (const [n, size] of [27182, 8, 1828, 45904].entries()) {
  up.call.write({ options: n ? undefined : options, calls: [payload(`${n}`, 1, size)] });
}
up.call.end();
assert.equal((await rest(up)).flatMap((message) => message.results).length, 4);
const down = stream("Batch");
down.call.write({ options, calls: [31415, 9, 2653, 58979].map((size, n) => get(`${n}`, `size/${size}`)) });
down.call.end();
const sizes = (await rest(down)).flatMap((message) => message.results).map((result) => result.body.length);
assert.deepEqual(sizes.sort((a, b) => a - b), [9, 2653, 31415, 58979]);

// ping_pong
const pingPong = stream("Batch");
for (const [n, [asked, answer]] of [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]].entries()) {
  pingPong.call.write({ options: n ? undefined : options, calls: [payload(`${n}`, answer, asked)] });
  const { message } = await pingPong.next();
  assert.deepEqual(message.results.map((result) => [result.id, result.body.length]), [[`${n}`, answer]]);
}
pingPong.call.end();
done.pingPong = (await rest(pingPong)).at(-1).summary.succeeded;
assert.equal((await pingPong.status).code, grpc.status.OK);

// empty_stream
const nothing = stream("Batch");
nothing.call.end();
assert.equal((await rest(nothing)).at(-1).summary.calls, 0);

// client_compressed_unary, both codings
for (const algorithm of [1, 2]) {
  const packing = new BatchService(address, credentials, {
    ...unlimited,
    "grpc.default_compression_algorithm": algorithm,
  });
  const answer = await new Promise((resolve, reject) =>
    packing.Execute({ options, calls: [payload("1", 10, 271828)] }, { deadline: soon() }, (error, value) =>
      error ? reject(error) : resolve(value),
    ),
  );
  assert.equal(answer.results[0].body.length, 10);
  packing.close();
}

// cancel_after_begin, cancel_after_first_response, and of a unary call
const moment = () => new Promise((resolve) => setTimeout(resolve, 200));
const begun = stream("Batch");
await moment(); // grpc-js opens the stream of a call that is cancelled before its connection was picked, and leaves it
begun.call.cancel();
assert.equal((await begun.status).code, grpc.status.CANCELLED);
const later = stream("Batch");
later.call.write({ options, calls: [payload("1", 31415, 27182), get("2", "held")] });
assert.equal((await later.next()).message.results[0].id, "1");
await moment();
later.call.cancel();
assert.equal((await later.status).code, grpc.status.CANCELLED);
const cancelled = await failure(
  unary("Execute", { options, calls: [get("1", "held")] }, { started: (call) => setTimeout(() => call.cancel(), 200) }),
);
done.cancelled = cancelled.code;

// timeout_on_sleeping_server
const sleeping = stream("Batch", { deadline: new Date(Date.now() + 300) });
sleeping.call.write({ options, calls: [payload("1", 1, 27182)] });
await sleeping.next();
done.late = (await sleeping.status).code;

// status_code_and_message, special_status_message, unimplemented_method, unimplemented_service
const refused = await failure(unary("Execute", { options: { route: "/nowhere/" }, calls: [get("1", "size/1")] }));
assert.equal(refused.details, "there is no route '/nowhere/'");
done.refused = refused.code;
assert.ok(refused.metadata.get("grpc-status-details-bin")[0].includes("UnknownRoute"));
const special = await failure(unary("Execute", { options: { route: "☺ and 😈 100 %" }, calls: [] }));
done.special = special.details;
const raw = (path) =>
  failure(
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, (value) => value, (value) => value, Buffer.alloc(0), (error, value) =>
        error ? reject(error) : resolve(value),
      ),
    ),
  );
done.unimplemented = [
  (await raw("/batchwire.v1.BatchService/UnimplementedCall")).code,
  (await raw("/grpc.testing.UnimplementedService/UnimplementedCall")).code,
];

// custom_metadata
const metadata = new grpc.Metadata();
metadata.set("batchwire-route", "/svc/");
metadata.set("odata-maxversion", "4.01");
metadata.set("prefer", "order=request");
metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from([0xab, 0xab, 0xab]));
const document = stream("BatchJson", {}, metadata);
document.call.write({ content_type: "application/json", data: Buffer.from('{"requests":[{"id":"1","method":"get",') });
document.call.write({ data: Buffer.from('"url":"size/5"}]}') });
document.call.end();
const text = Buffer.concat((await rest(document)).map((message) => message.data)).toString();
assert.equal(JSON.parse(text).responses[0].status, 200);
done.applied = (await document.initial).get("preference-applied");

// health, on the same channel
const check = new Health(address, credentials, { channelOverride: client.getChannel() });
done.health = await new Promise((resolve, reject) =>
  check.Check({ service: "" }, { deadline: soon() }, (error, answer) => (error ? reject(error) : resolve(answer.status))),
);

// many at once
const many = await Promise.all(
  Array.from({ length: 50 }, () => unary("Execute", { options, calls: [payload("1", 31415, 27182)] })),
);
done.many = many.filter((answer) => answer.results[0].body.length === 31415).length;

client.close();
console.log(JSON.stringify(done));
