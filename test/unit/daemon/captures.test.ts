import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { runCommandLine } from "../../../src/cli/command-line.ts";
import { type CaptureKey, captureRequest } from "../../../src/control/capture-schema.ts";
import { type ControlServer, startControlServer } from "../../../src/control/server.ts";
import type { ControlTarget } from "../../../src/control/target.ts";
import { CAPTURE_BUFFER_OCTETS } from "../../../src/daemon/capture-output.ts";
import { CAPTURE_STALL_MS } from "../../../src/daemon/capture-session.ts";
import {
  type CapturedGateway,
  Captures,
  PEERS_FOLLOWED_MAX,
  STRANGERS_FOLLOWED_MAX,
} from "../../../src/daemon/captures.ts";
import { CaptureKind, CaptureRecord, CaptureRing } from "../../../src/dataplane/capture-ring.ts";
import type { CaptureFilter } from "../../../src/dataplane/tap.ts";
import type { TracedMessage } from "../../../src/ike/trace.ts";
import { BlockType } from "../../../src/wire/capture/pcapng.ts";
import { lostOf, type PcapngBlock, PcapngReader } from "../../../src/wire/capture/pcapng-reader.ts";

const NATIVE_OCTETS = 1400;

/** A gateway with one lane that puts packets whenever a test says so. */
class FakeGateway implements CapturedGateway {
  readonly lanes = 1;
  readonly devices = ["tun\u001b[31m0"];
  readonly natPort = 4500;
  readonly policiesMax = 2;
  capture: { memory: readonly SharedArrayBuffer[]; filter: CaptureFilter } | undefined;
  #ring: CaptureRing | undefined;

  setCapture(capture?: FakeGateway["capture"]): void {
    this.capture = capture;
    this.#ring = capture && new CaptureRing(capture.memory[0]!);
  }

  /** @returns how many found room */
  pass(count: number, octets = NATIVE_OCTETS): number {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const word = this.#ring?.put(octets, 1) ?? -1;
      if (word < 0) continue;
      kept++;
      const { u32, f64 } = this.#ring!;
      u32[word + CaptureRecord.KIND] = CaptureKind.INNER;
      u32[word + CaptureRecord.LENGTH] = octets;
      u32[word + CaptureRecord.CAPTURED] = octets;
      u32[word + CaptureRecord.REASON] = 0;
      u32[word + CaptureRecord.SPI] = 0;
      u32[word + CaptureRecord.POLICY] = 1;
      f64[(word + CaptureRecord.AT) >> 1] = 1;
    }
    this.#ring?.publish();
    return kept;
  }

  policyName = (index: number) => ["paris/lan", "oslo/lan"][index];
  pairs = () => [];
  keys: CapturedGateway["keys"];
  scopeOf = (name: string) =>
    name === "paris"
      ? { policies: new Set(["paris/lan"]), peers: [parseIpAddress("192.0.2.1")!] }
      : undefined;
}

let gateway: FakeGateway;
let captures: Captures;
let lines: string[];
/** What is written whatever the level is. */
let audited: string[];
let now: number;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  gateway = new FakeGateway();
  lines = [];
  audited = [];
  now = 1;
  const note = (line: string) => void lines.push(line);
  captures = new Captures({
    version: "0",
    clock: { now: () => Instant(now) },
    identify: (socket) => (socket === 5 ? { uid: 7, pid: 8 } : undefined),
    log: { debug: note, info: note, warn: note, error: note },
    audit: { debug: note, info: note, warn: (line) => void audited.push(line), error: note },
  });
  captures.attach(gateway);
});
afterEach(() => vi.useRealTimers());

const open = (request: object = {}) => captures.open(captureRequest.parse(request), 5);

async function blocksOf(stream: ReadableStream<Uint8Array>): Promise<PcapngBlock[]> {
  const reader = new PcapngReader();
  const blocks: PcapngBlock[] = [];
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>)
    blocks.push(...reader.take(chunk));
  expect(reader.isAtEnd).toBe(true);
  return blocks;
}

const countOf = (blocks: readonly PcapngBlock[], type: number) =>
  blocks.filter((one) => one.type === type).length;
const lostIn = (blocks: readonly PcapngBlock[]) => blocks.reduce((sum, block) => sum + lostOf(block), 0);

test("what the lanes have is in the file, and its end says that nothing is lost", async () => {
  const stream = open();
  gateway.pass(20);
  await vi.advanceTimersByTimeAsync(50);
  expect(captures.stop()).toBe(true);
  const blocks = await blocksOf(stream);
  expect(blocks.map(({ type }) => type).slice(0, 4)).toEqual([
    BlockType.SECTION,
    BlockType.INTERFACE,
    BlockType.INTERFACE,
    BlockType.INTERFACE,
  ]);
  expect(countOf(blocks, BlockType.PACKET)).toBe(20);
  expect(countOf(blocks, BlockType.STATISTICS)).toBe(3);
  expect(lostIn(blocks)).toBe(0);
  expect(gateway.capture).toBeUndefined();
  expect(lines).toEqual([
    "a capture begins, for uid 7, pid 8",
    "the capture for uid 7, pid 8 has ended, since it was told to: 20 packets",
  ]);
  expect(captures.stop()).toBe(false);
});

test("there is one capture at a time, and the next one after it", async () => {
  const first = open();
  expect(() => open()).toThrow("a capture runs already");
  await first.cancel();
  expect(lines.at(-1)).toContain("its client went away");
  expect(gateway.capture).toBeUndefined();
  await open().cancel();
});

test("a client that reads nothing loses packets of the capture, counted, and then the capture", async () => {
  const stream = open();
  let kept = 0;
  let passed = 0;
  for (let round = 0; round < 40; round++) {
    kept += gateway.pass(500);
    passed += 500;
    await vi.advanceTimersByTimeAsync(20);
  }
  expect(kept).toBeGreaterThan(CAPTURE_BUFFER_OCTETS / NATIVE_OCTETS);
  await vi.advanceTimersByTimeAsync(CAPTURE_STALL_MS + 1000);
  expect(lines.at(-1)).toContain("its client has not read for 30 s");
  expect(gateway.capture).toBeUndefined();
  const blocks = await blocksOf(stream);
  const delivered = countOf(blocks, BlockType.PACKET);
  expect(delivered).toBeLessThan(CAPTURE_BUFFER_OCTETS / NATIVE_OCTETS);
  expect(delivered + lostIn(blocks)).toBe(passed);
});

test("it ends by itself: after its time, and before it has more octets than allowed", async () => {
  const timed = open({ seconds: 0.5 });
  now += 400;
  await vi.advanceTimersByTimeAsync(50);
  expect(lines).toHaveLength(1);
  now += 200;
  await vi.advanceTimersByTimeAsync(50);
  expect(lines.at(-1)).toContain("its time is over");
  expect(countOf(await blocksOf(timed), BlockType.STATISTICS)).toBe(3);
  const small = open({ octetsMax: 20_000 });
  gateway.pass(100);
  await vi.advanceTimersByTimeAsync(50);
  expect(lines.at(-1)).toContain("it has as many octets as it may have");
  const blocks = await blocksOf(small);
  const octets = blocks.reduce((sum, block) => sum + block.octets.length, 0);
  expect(octets).toBeLessThanOrEqual(20_000);
  expect(octets).toBeGreaterThan(15_000);
  expect(countOf(blocks, BlockType.PACKET) + lostIn(blocks)).toBe(100);
});

test("a filter reaches the lanes; a name that nobody has is an error", async () => {
  await open({ connection: "paris", host: "192.0.2.9", snap: 100 }).cancel();
  expect(() => open({ connection: "rome" })).toThrow("no connection is named rome");
  const stream = open({ connection: "paris", host: "192.0.2.9", snap: 100 });
  expect(gateway.capture?.filter).toEqual({
    snapLength: 100,
    host: parseIpAddress("192.0.2.9"),
    only: { policies: [0], peers: [parseIpAddress("192.0.2.1")] },
  });
  // A peer that calls from elsewhere belongs to it from then on.
  captures.noteMessage(message("paris#2", "198.51.100.7"));
  expect(gateway.capture?.filter.only?.peers).toHaveLength(2);
  captures.noteMessage(message("parish", "198.51.100.8"));
  expect(gateway.capture?.filter.only?.peers).toHaveLength(2);
  await stream.cancel();
});

test("addresses that anybody can send from are followed up to a number", async () => {
  const stream = open({ connection: "paris" });
  const peers = () => gateway.capture!.filter.only!.peers.length;
  const from = (i: number) => `198.18.${i >> 8}.${i & 255}`;
  for (let i = 0; i < 2 * STRANGERS_FOLLOWED_MAX; i++)
    captures.noteMessage({ ...message("paris", from(i)), isProtected: false });
  expect(peers()).toBe(1 + STRANGERS_FOLLOWED_MAX);
  for (let i = 0; i < 2 * PEERS_FOLLOWED_MAX; i++) captures.noteMessage(message("paris", from(1000 + i)));
  expect(peers()).toBe(PEERS_FOLLOWED_MAX);
  await stream.cancel();
});

test("keys are in a capture that asks for them where they may be, and the audit names who asked either way", async () => {
  const key = { kind: "esp", spi: 1, encrKey: "c0ffee" } as unknown as CaptureKey;
  expect(() => open({ keys: true })).toThrow(expect.objectContaining({ code: "CONTROL_NOT_ALLOWED" }));
  expect(audited).toEqual([expect.stringContaining("refused to uid 7, pid 8")]);
  gateway.keys = { changes: () => 1, esp: () => [{ key, policy: 0 }], ike: () => [] };
  const octetsOf = async (request: object) => {
    const stream = open(request);
    await vi.advanceTimersByTimeAsync(50);
    captures.stop();
    return Buffer.concat((await blocksOf(stream)).map(({ octets }) => octets)).toString("latin1");
  };
  expect(await octetsOf({})).not.toContain("c0ffee");
  expect(audited).toHaveLength(1);
  expect(await octetsOf({ keys: true })).toContain("c0ffee");
  expect(audited[1]).toContain("given out to uid 7, pid 8");
});

test("words of strangers are escaped in comments", async () => {
  const stream = open();
  captures.noteMessage(message("evil\u001b[2J\u202egnp.exe", "192.0.2.1"));
  await vi.advanceTimersByTimeAsync(50);
  captures.stop();
  const [packet] = (await blocksOf(stream)).filter(({ type }) => type === BlockType.PACKET);
  const text = Buffer.from(packet!.octets).toString("latin1");
  expect(text).toContain("evil\\u{1b}[2J\\u{202e}gnp.exe");
  expect(text).not.toContain("\u001b[2J");
});

function message(connection: string, from: string): TracedMessage {
  const local = { address: parseIpAddress("192.0.2.200")!, port: 500 };
  return {
    direction: "inbound",
    local,
    remote: { address: parseIpAddress(from)!, port: 500 },
    connection,
    header: {
      initiatorSpi: "0102030405060708",
      responderSpi: "0807060504030201",
      exchangeType: 37,
      isFromInitiator: true,
      isResponse: false,
      messageId: 7,
    } as never,
    payloads: [],
    inner: { first: 0, bytes: new Uint8Array(0) },
    isProtected: true,
    repeats: 0,
    sizes: [80],
  };
}

test("the command writes the file, for its owner alone; a full disk ends it in words, with a file that is whole", async () => {
  vi.useRealTimers();
  const directory = mkdtempSync(join(tmpdir(), "tungate-capture-"));
  const control = join(directory, "run", "control.sock");
  const target = { captures, status: () => ({}), command: async () => ({}) } as unknown as ControlTarget;
  const server: ControlServer = await startControlServer({
    path: control,
    target,
    reportFailure: () => undefined,
  });
  const run = async (...words: string[]) => {
    let err = "";
    const context = { version: "0", environment: {}, isErrorTerminal: false, write: () => undefined };
    const running = runCommandLine(["capture", ...words, "--control", control], {
      ...context,
      writeError: (text) => {
        err += text;
      },
    });
    const feeding = setInterval(() => gateway.pass(10), 5);
    const status = await running;
    clearInterval(feeding);
    return { status, err };
  };
  try {
    const file = join(directory, "x.pcapng");
    const done = await run("-w", file, "--octets-max", "100000");
    expect(done.status).toBe(0);
    expect(done.err).toMatch(/^capturing into .*x\.pcapng; Ctrl-C ends it\n\d+ packets in .*lost/);
    const written = readFileSync(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const reader = new PcapngReader();
    expect(countOf(reader.take(written), BlockType.PACKET)).toBeGreaterThan(30);
    expect(reader.isAtEnd).toBe(true);

    // A profile that was refused its keys does not stand in the way of the next one.
    for (const what of ["may not be given out", "may not be given out"])
      expect(await run("-w", file, "--keys", join(directory, "profile"))).toMatchObject({
        status: 1,
        err: expect.stringContaining(what),
      });
    chmodSync(file, 0o644);
    const former = openSync(file, "r");
    expect((await run("-w", file, "--octets-max", "20000")).status).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    // Who had the former one open reads on in that.
    expect(readFileSync(former)).toEqual(written);
    closeSync(former);

    expect(await run("-w", "/dev/full")).toMatchObject({
      status: 1,
      err: expect.stringContaining("/dev/full: the disk is full; the capture has ended"),
    });
    expect(await run("-w", join(directory, "none", "x"))).toMatchObject({ status: 1 });
    writeFileSync(join(directory, "plain"), "");
    expect(await run("-w", file, "--keys", join(directory, "plain"))).toMatchObject({ status: 1 });
    expect(await run("-w", file, "--connection", "rome")).toEqual({
      status: 1,
      err: "tungate: no connection is named rome\n",
    });
    expect(await run("-w", file, "--host", "somewhere")).toMatchObject({ status: 2 });
    // Nothing is left of those that failed.
    await expect.poll(() => gateway.capture).toBeUndefined();
    expect((await run("-w", file, "--octets-max", "20000")).status).toBe(0);
  } finally {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
