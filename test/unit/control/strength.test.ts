/** A control socket that clients mean ill with: the others get their answers, and what is held for anybody is bounded. */
import { lstatSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createControlApp } from "../../../src/control/app.ts";
import { createControlClient } from "../../../src/control/client.ts";
import { CLIENTS_MAX } from "../../../src/control/clients.ts";
import { EventStream } from "../../../src/control/event-stream.ts";
import { FOLLOWERS_MAX } from "../../../src/control/events-routes.ts";
import { OPERATIONS } from "../../../src/control/openapi.ts";
import { PacedAnswers, QUESTIONS_WAITING_MAX } from "../../../src/control/paced-answers.ts";
import type { StatusDocument } from "../../../src/control/schema.ts";
import { type ControlServer, HEADER_OCTETS_MAX, startControlServer } from "../../../src/control/server.ts";
import type { ControlTarget } from "../../../src/control/target.ts";
import { ControlSockets } from "../../../src/daemon/control-sockets.ts";
import { MEASUREMENTS } from "./measurements.ts";
import { NO_BLACKBOX, NO_CAPTURES, NO_LOG } from "./no-captures.ts";
import { nextServed } from "./served-socket.ts";

const never = () => Promise.reject(new Error("nobody asked for that"));
let document: StatusDocument;
let made: number;
const target: ControlTarget & { status: () => StatusDocument } = {
  status: () => {
    made++;
    return document;
  },
  command: never,
  measurements: MEASUREMENTS,
  captures: NO_CAPTURES,
  blackbox: NO_BLACKBOX,
  log: NO_LOG,
  version: "0.1.0",
  explain: never,
  traffic: () => {
    throw new Error("nobody asked for that");
  },
  events: new EventStream("e"),
  reloads: { reload: never, keep: never, undo: never },
};

let folder: string;
let path: string;
let server: ControlServer | undefined;
let sockets: ControlSockets[];
let clients: Socket[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tungate-strength-"));
  path = join(folder, "control.sock");
  sockets = [];
  clients = [];
  made = 0;
  document = {
    apiVersion: 1,
    version: "0.1.0",
    uptimeSeconds: 1,
    configurationFile: "/x",
    interfaces: [],
    lanes: 1,
    engine: "openssl",
    totals: { connections: 0, connectionsUp: 0, children: 0, childrenUp: 0, inTrouble: 0 },
    omitted: 0,
    connections: [],
    drops: {},
    offloads: {},
    transfers: {},
    advice: [],
  };
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await server?.close();
  server = undefined;
  for (const one of sockets) await one.close();
  rmSync(folder, { recursive: true });
});

const start = async () => {
  server = await startControlServer({ path, target, reportFailure: () => undefined });
};
function client(text = ""): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.on("error", reject);
    clients.push(socket);
    if (text !== "") socket.write(text);
  });
}
const answered = async () => (await createControlClient(path).status()).version;

test.each([
  ["say nothing", ""],
  ["send half a request", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Half: "],
  ["keep their connection after an answer", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"],
])("clients that %s, more than there is room for, keep nobody out", async (_, text) => {
  await start();
  let closed = 0;
  for (let i = 0; i < CLIENTS_MAX + 10; i++) (await client(text)).resume().on("close", () => closed++);
  expect(await answered()).toBe("0.1.0");
  await expect.poll(() => closed).toBeGreaterThanOrEqual(10);
  expect(clients.filter(({ destroyed, readable }) => !destroyed && readable).length).toBeLessThanOrEqual(
    CLIENTS_MAX,
  );
});

test("huge headers are refused, and the connection ends", async () => {
  await start();
  const socket = await client(
    `GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Huge: ${"x".repeat(2 * HEADER_OCTETS_MAX)}\r\n\r\n`,
  );
  let text = "";
  socket.on("data", (part: Buffer) => {
    text += part.toString();
  });
  await new Promise((resolve) => socket.once("close", resolve));
  expect(text).toMatch(/^HTTP\/1\.1 431 /);
  expect(made).toBe(0);
  expect(await answered()).toBe("0.1.0");
});

test("requests that come before their answers are taken: a few at once, then the connection ends", async () => {
  document = { ...document, advice: Array.from({ length: 200 }, () => "x".repeat(10_000)) };
  await start();
  const before = process.memoryUsage().arrayBuffers;
  const socket = await client("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500));
  expect(await answered()).toBe("0.1.0");
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024);
  socket.resume();
  await expect.poll(() => socket.closed).toBe(true);
});

test("a client that never reads loses its place in time", { timeout: 120_000 }, async () => {
  document = { ...document, advice: Array.from({ length: 200 }, () => "x".repeat(10_000)) };
  await start();
  const letGo = nextServed();
  const socket = (await client("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")).pause();
  expect(await answered()).toBe("0.1.0");
  await letGo;
  socket.resume();
  await expect.poll(() => socket.closed).toBe(true);
  expect(socket.bytesRead).toBeLessThan(2_000_000);
});

test("a costly answer is made for all who wait for it at once, and after a rest", async () => {
  let now = 0;
  const count: string[] = [];
  const paced = new PacedAnswers(() => now);
  const answer = (question: string) =>
    paced.answer(question, () => {
      now += 10;
      count.push(question);
      if (question === "bad") throw new Error("no such thing");
      return `${question}${count.length}`;
    });
  expect(await answer("a")).toBe("a1");
  const waiting = [answer("a"), answer("b"), answer("a"), answer("bad"), answer("a")];
  expect(count).toEqual(["a"]);
  now += 1000;
  const outcomes = await Promise.allSettled(waiting);
  expect(outcomes.map((one) => (one.status === "fulfilled" ? one.value : "failed"))).toEqual([
    "a2",
    "b3",
    "a2",
    "failed",
    "a2",
  ]);
  now += 1000;
  expect(await answer("a")).toBe("a5");
});

test("an answer that comes later is made alone, and counts with the time it took", async () => {
  let now = 0;
  let making = 0;
  const paced = new PacedAnswers(() => now);
  const most: number[] = [];
  const answer = (question: string) =>
    paced.answer(question, async () => {
      most.push(++making);
      await Promise.resolve();
      now += 10;
      making--;
      return question;
    });
  const first = answer("a");
  const others = ["b", "c", "b"].map(answer);
  expect(await first).toBe("a");
  expect([most, now]).toEqual([[1], 10]);
  now += 1000;
  expect(await Promise.all(others)).toEqual(["b", "c", "b"]);
  expect(most).toEqual([1, 1, 1]);
});

test("questions of those who have gone are kept up to a number", async () => {
  let now = 0;
  const paced = new PacedAnswers(() => now);
  const ask = (question: string) => paced.answer(question, () => "");
  await paced.answer("first", () => {
    now += 10;
    return "";
  });
  const waiting = Array.from({ length: QUESTIONS_WAITING_MAX }, (_, i) => ask(`${i}`));
  await expect(ask("more")).rejects.toMatchObject({ code: "CONTROL_BUSY" });
  // What others wait for already costs nothing.
  waiting.push(ask("7"));
  now += 1_000_000;
  await Promise.all(waiting);
});

test("a flood of requests for the status leaves time for everything else", async () => {
  await start();
  const busy = 5;
  target.status = () => {
    made++;
    const until = performance.now() + busy;
    while (performance.now() < until);
    return document;
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: 60 }, answered));
  expect(made).toBeLessThanOrEqual(2 + (performance.now() - begun) / (4 * busy));
});

test("the read-only socket answers questions, and carries nothing out", async () => {
  const monitor = join(folder, "monitor.sock");
  const both = new ControlSockets({
    target: { ...target, status: () => document },
    reportFailure: () => undefined,
  });
  sockets.push(both);
  await both.follow({ path, readOnly: { path: monitor } });
  expect((await createControlClient(monitor).status()).version).toBe("0.1.0");
  for (const [method, where] of [
    ["POST", "/v1/up"],
    ["POST", "/v1/status"],
    ["DELETE", "/v1/status"],
  ] as const)
    expect([method, where, await codeOf(monitor, method, where)]).toEqual([
      method,
      where,
      "CONTROL_READ_ONLY",
    ]);
  expect(statSync(monitor).mode & 0o777).toBe(0o660);
});

test("HEAD, which would take a stream and never read it, takes no place from those who follow", async () => {
  const app = createControlApp(target, () => undefined);
  for (let i = 0; i <= FOLLOWERS_MAX; i++)
    expect((await app.request("/v1/events", { method: "HEAD" })).status).toBe(404);
  const answer = await app.request("/v1/events");
  expect(answer.status).toBe(200);
  await answer.body?.cancel();
});

test("whatever changes something is refused where only questions are answered", async () => {
  const app = createControlApp(target, () => undefined, true);
  const changes = OPERATIONS.filter(({ method }) => method !== "get");
  expect(changes.length).toBeGreaterThan(5);
  for (const { method, path: where } of changes) {
    const answer = await app.request(where, { method: method.toUpperCase(), body: "{}" });
    expect([where, answer.status, await answer.json()]).toMatchObject([
      where,
      403,
      { error: { code: "CONTROL_READ_ONLY" } },
    ]);
  }
  expect((await app.request("/v1/log")).status).toBe(200);
});

test("sockets follow the configuration: new ones first, then those go that are no longer wanted", async () => {
  const both = new ControlSockets({
    target: { ...target, status: () => document },
    reportFailure: () => undefined,
  });
  sockets.push(both);
  const [other, monitor] = [join(folder, "other.sock"), join(folder, "monitor.sock")];
  await both.follow({ path });
  await both.follow({ path: other, readOnly: { path: monitor } });
  expect(await codeOf(other, "POST", "/v1/nothing")).toBe("CONTROL_NOT_FOUND");
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
  // What cannot be made changes nothing.
  writeFileSync(join(folder, "file"), "");
  await expect(
    both.follow({ path, readOnly: { path: join(folder, "file", "x.sock") } }),
  ).rejects.toMatchObject({
    code: "CONTROL_SOCKET",
  });
  expect(await codeOf(other, "POST", "/v1/nothing")).toBe("CONTROL_NOT_FOUND");
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
  await both.follow({ path: other });
  expect(lstatSync(monitor, { throwIfNoEntry: false })).toBeUndefined();
});

test.runIf(process.getuid?.() === 0)("a socket's group follows, and goes back to our own", async () => {
  const both = new ControlSockets({ target, reportFailure: () => undefined });
  sockets.push(both);
  await both.follow({ path });
  await both.follow({ path, group: "daemon" });
  expect(statSync(path).gid).toBe(1);
  await expect(both.follow({ path, group: "no-such-group-here" })).rejects.toMatchObject({
    code: "CONTROL_SOCKET",
  });
  expect(statSync(path).gid).toBe(1);
  await both.follow({ path });
  expect(statSync(path).gid).toBe(process.getgid?.());
});

test("a second daemon says which process has the socket, and leaves it alone", async () => {
  const [first, second] = [0, 1].map(
    () =>
      new ControlSockets({ target: { ...target, status: () => document }, reportFailure: () => undefined }),
  );
  sockets.push(first!, second!);
  await first!.follow({ path });
  await expect(second!.follow({ path })).rejects.toMatchObject({
    code: "CONTROL_ALREADY_RUNNING",
    message: expect.stringContaining(`process ${process.pid}, holds ${path}`),
  });
  expect(await answered()).toBe("0.1.0");
  await first!.close();
  await second!.follow({ path });
  expect(await answered()).toBe("0.1.0");
});

function codeOf(socketPath: string, method: string, where: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path: where, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => {
        text += part.toString();
      });
      answer.on("end", () => resolve(JSON.parse(text).error.code));
    });
    call.on("error", reject);
    call.end();
  });
}
