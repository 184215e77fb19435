/** Events over the control socket: order, resumption, what slow readers lose, and how many may follow. */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createControlClient } from "../../../src/control/client.ts";
import { EVENTS_KEPT_MAX, EventStream, type NewEvent } from "../../../src/control/event-stream.ts";
import type { FollowOptions } from "../../../src/control/events-client.ts";
import { FOLLOWERS_MAX } from "../../../src/control/events-routes.ts";
import type { GatewayEvent } from "../../../src/control/events-schema.ts";
import { type ControlServer, startControlServer } from "../../../src/control/server.ts";
import type { ControlTarget } from "../../../src/control/target.ts";
import { MEASUREMENTS } from "./measurements.ts";

const state =
  (connection: string, to: string): (() => NewEvent) =>
  () => ({ type: "state", connection, from: "down", to });

test("a reader gets what comes after it began, in order; one that comes back what it missed", () => {
  const stream = new EventStream("a", () => 0);
  stream.publish(state("paris", "up"));
  const first = stream.read(undefined, undefined);
  expect(first.take()).toBeUndefined();
  stream.publish(state("oslo", "up"));
  stream.publish(state("rome", "up"));
  const seen = first.take();
  expect(seen).toEqual({
    type: "state",
    id: "a-2",
    at: "1970-01-01T00:00:00.000Z",
    connection: "oslo",
    from: "down",
    to: "up",
  });
  expect(stream.read(seen!.id, undefined).take()).toMatchObject({ id: "a-3", connection: "rome" });
  expect(stream.read("a-3", undefined).take()).toBeUndefined();
});

test("who falls behind the history is told how much is gone, once, and goes on with what is kept", () => {
  const stream = new EventStream("a");
  const reader = stream.read(undefined, undefined);
  for (let i = 0; i < EVENTS_KEPT_MAX + 5; i++) stream.publish(state(`c${i}`, "up"));
  const lost = reader.take();
  expect(lost).toMatchObject({ type: "lost", count: 5, id: "a-5" });
  expect(reader.take()).toMatchObject({ id: "a-6", connection: "c5" });
  // With the id of the gap nothing is lost twice.
  expect(stream.read(lost!.id, undefined).take()).toMatchObject({ id: "a-6" });
  let count = 1;
  while (reader.take() !== undefined) count++;
  expect(count).toBe(EVENTS_KEPT_MAX);
});

test.each(["b-1", "a-9", "a-x", "nonsense", "a-1-1"])(
  "%s is no id of this start: all that is kept comes, behind a word that something is lost",
  (id) => {
    const stream = new EventStream("a");
    stream.publish(state("paris", "up"));
    const reader = stream.read(id, undefined);
    const lost = reader.take();
    expect(lost).toMatchObject({ type: "lost" });
    expect(lost).not.toHaveProperty("count");
    expect(reader.take()).toMatchObject({ id: "a-1" });
  },
);

test("a filter lets one connection and its peers through", () => {
  const stream = new EventStream("a");
  const reader = stream.read(undefined, "hub");
  for (const name of ["hub#1", "hubble", "paris", "hub"]) stream.publish(state(name, "up"));
  stream.publish(() => ({ type: "drops", seconds: 60, drops: { replayed: 1 } }));
  expect([reader.take(), reader.take(), reader.take()]).toMatchObject([
    { connection: "hub#1" },
    { connection: "hub" },
    undefined,
  ]);
});

let directory: string;
let path: string;
let events: EventStream;
let server: ControlServer;
const ends: AbortController[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tungate-events-"));
  path = join(directory, "control.sock");
  await serve("a");
});
afterEach(async () => {
  for (const end of ends.splice(0)) end.abort();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function serve(epoch: string): Promise<void> {
  events = new EventStream(epoch);
  const target = { measurements: MEASUREMENTS, events } as unknown as ControlTarget;
  server = await startControlServer({ path, target, reportFailure: () => undefined });
}

/** Follows in the background. */
function follow(options: FollowOptions = {}) {
  const end = new AbortController();
  ends.push(end);
  const seen: GatewayEvent[] = [];
  const done = (async () => {
    for await (const event of createControlClient(path).events({ ...options, signal: end.signal }))
      seen.push(event);
  })();
  done.catch(() => undefined);
  return { seen, done, end };
}

test("a client follows, and comes back with the id of the last event that it has", async () => {
  const { seen, end, done } = follow({ after: "a-0" });
  events.publish(state("paris", "up"));
  events.publish(() => ({
    type: "notice",
    code: "ikeSaUp",
    level: "info",
    connection: "paris",
    lines: ["\u001b[2J up\nx"],
  }));
  await expect.poll(() => seen.length).toBe(2);
  expect(seen[1]).toMatchObject({ id: "a-2", lines: ["\u001b[2J up\nx"] });
  end.abort();
  await done;
  events.publish(state("paris", "down"));
  const again = follow({ after: seen[1]!.id });
  await expect.poll(() => again.seen.length).toBe(1);
  expect(again.seen[0]).toMatchObject({ id: "a-3", to: "down" });
});

test("one that persists takes up the stream of the next daemon, and says that something is lost", async () => {
  const persistent = follow({ persists: true, after: "a-0" });
  const other = follow({ after: "a-0" });
  events.publish(state("paris", "up"));
  await expect.poll(() => [persistent.seen.length, other.seen.length]).toEqual([1, 1]);
  await server.close();
  await expect(other.done).rejects.toMatchObject({ code: "CONTROL_NO_ANSWER" });
  await serve("b");
  events.publish(state("paris", "down"));
  await expect.poll(() => persistent.seen.length).toBe(3);
  expect(persistent.seen.slice(1)).toMatchObject([{ type: "lost" }, { id: "b-1", to: "down" }]);
});

test("so many may follow, and whoever goes makes room; bad questions are refused", async () => {
  const all = Array.from({ length: FOLLOWERS_MAX }, () => follow({ after: "a-0" }));
  events.publish(state("paris", "up"));
  await expect.poll(() => all.every(({ seen }) => seen.length === 1)).toBe(true);
  await expect(follow().done).rejects.toMatchObject({ code: "CONTROL_BUSY" });
  all[0]!.end.abort();
  await expect
    .poll(async () => {
      const one = follow({ after: "a-0" });
      await Promise.race([one.done.catch(() => undefined), expect.poll(() => one.seen.length).toBe(1)]);
      return one.seen.length;
    })
    .toBe(1);
  const status = await new Promise((resolve) =>
    request({ socketPath: path, path: "/v1/events?nonsense=1" }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).end(),
  );
  expect(status).toBe(400);
});

test("a client that never reads costs others nothing, and no memory for each event", async () => {
  const socket = connect(path);
  socket.on("error", () => undefined);
  socket.pause();
  socket.write("GET /v1/events HTTP/1.1\r\nhost: x\r\nlast-event-id: a-0\r\n\r\n");
  const { seen } = follow({ after: "a-0" });
  const line = "x".repeat(1000);
  for (let i = 0; i < 5 * EVENTS_KEPT_MAX; i++) {
    events.publish(() => ({ type: "notice", code: "retrying", level: "info", lines: [line] }));
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await expect.poll(() => seen.at(-1)?.id).toBe(`a-${5 * EVENTS_KEPT_MAX}`);
  let text = "";
  socket.on("data", (part) => {
    text += String(part);
  });
  socket.resume();
  await expect.poll(() => text.includes(`id: a-${5 * EVENTS_KEPT_MAX}\n`)).toBe(true);
  expect(text).toContain("event: lost\n");
  socket.destroy();
});
