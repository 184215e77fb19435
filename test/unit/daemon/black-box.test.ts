import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { type Instant, Instant as instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { blackboxText } from "../../../src/cli/blackbox.ts";
import { blackboxDocument } from "../../../src/control/blackbox-schema.ts";
import {
  BLACK_BOX_SPAN,
  BlackBox,
  DECISIONS_KEPT_MAX,
  ENTRIES_KEPT_MAX,
  INIT_KEPT_MAX,
  PROTECTED_KEPT_MAX,
} from "../../../src/daemon/black-box.ts";
import { BlackBoxControl, lastWords } from "../../../src/daemon/black-box-control.ts";
import type { IkeNotice } from "../../../src/ike/notice.ts";
import type { TracedMessage } from "../../../src/ike/trace.ts";
import { encodePayloadChain } from "../../../src/wire/ike/message.ts";
import type { Payload } from "../../../src/wire/ike/payload.ts";

const at = (ms: number): Instant => instant(ms);
const remote = { address: parseIpAddress("198.51.100.2")!, port: 4500 };
const all = () => true;

function message(connection: string | undefined, more: Partial<TracedMessage> = {}): TracedMessage {
  return {
    direction: "outbound",
    local: { address: parseIpAddress("192.0.2.1")!, port: 4500 },
    remote,
    connection,
    header: {
      initiatorSpi: "0102030405060708",
      responderSpi: "1112131415161718",
      exchangeType: 35,
      isFromInitiator: true,
      isResponse: false,
      messageId: 1,
    } as never,
    payloads: [],
    isProtected: true,
    repeats: 0,
    sizes: [200],
    ...more,
  };
}

const decision = (connection: string, child?: string): IkeNotice =>
  ({
    code: "connecting",
    connection,
    ...(child === undefined ? {} : { child }),
    remote,
    local: remote,
  }) as never;

test("types and sizes of payloads are kept, and nothing that is in them", () => {
  const box = new BlackBox();
  const secret = utf8("neverToBeSeenAnywhere");
  const payloads: Payload[] = [
    { kind: "IDi", idType: 2, data: secret },
    { kind: "AUTH", method: 2, data: secret },
    { kind: "N", protocolId: 0, notifyType: 16384, spi: new Uint8Array(0), data: secret },
    { kind: "Nonce", data: secret },
  ];
  box.noteMessage(message("paris", { payloads }), at(1000));
  const { first, bytes } = encodePayloadChain(payloads);
  box.noteMessage(message("paris", { direction: "inbound", inner: { first, bytes } }), at(2000));
  box.noteMessage(message("paris", { inner: { first: 39, bytes: Uint8Array.of(0, 0, 0, 99) } }), at(3000));

  const entries = box.read(all, at(4000));
  expect(entries.map((entry) => entry.kind === "message" && entry.payloads)).toEqual([
    ["IDi 29", "AUTH 29", "N(INITIAL_CONTACT) 29", "Nonce 25"],
    ["IDi 29", "AUTH 29", "N(INITIAL_CONTACT) 29", "Nonce 25"],
    ["malformed"],
  ]);
  const said = JSON.stringify(entries);
  expect(said).not.toContain("neverToBeSeen");
  expect(said).not.toContain(Buffer.from(secret).toString("hex"));
  expect(entries[0]).toMatchObject({
    exchange: "IKE_AUTH",
    octets: 200,
    remote: "198.51.100.2:4500",
    secondsAgo: 3,
  });
  expect(blackboxDocument.safeParse({ apiVersion: 1, seconds: 600, entries, leftOut: 0 }).success).toBe(true);
});

test("each message has its own ends, SPIs and sizes, however like the one before it is", () => {
  const box = new BlackBox();
  const moved = { address: parseIpAddress("198.51.100.2")!, port: 4501 };
  const header = { ...message("paris").header, initiatorSpi: "2122232425262728" } as never;
  const more: Partial<TracedMessage>[] = [
    {},
    { direction: "inbound" },
    { remote: moved },
    { local: moved },
    { direction: "inbound" },
    { header },
    {},
  ];
  for (const [i, one] of more.entries()) box.noteMessage(message("paris", one), at(i));
  const shown = box.read(all, at(10)).map((entry) => {
    if (entry.kind !== "message") throw new Error("a message became something else");
    return [entry.direction, entry.local, entry.remote, entry.initiatorSpi].join(" ");
  });
  const [here, there] = ["192.0.2.1:4500", "198.51.100.2:4500"];
  const spi = "0102030405060708";
  expect(shown).toEqual([
    `outbound ${here} ${there} ${spi}`,
    `inbound ${here} ${there} ${spi}`,
    `outbound ${here} 198.51.100.2:4501 ${spi}`,
    `outbound 198.51.100.2:4501 ${there} ${spi}`,
    `inbound ${here} ${there} ${spi}`,
    `outbound ${here} ${there} 2122232425262728`,
    `outbound ${here} ${there} ${spi}`,
  ]);
});

test("payloads of any size and notifies of any type are named", () => {
  const box = new BlackBox();
  const payloads: Payload[] = [
    { kind: "V", data: new Uint8Array(65_531) },
    { kind: "N", protocolId: 0, notifyType: 65_535, spi: new Uint8Array(0), data: new Uint8Array(0) },
    { kind: "N", protocolId: 0, notifyType: 0, spi: new Uint8Array(0), data: new Uint8Array(300) },
  ];
  box.noteMessage(message("paris", { payloads }), at(1));
  const [entry] = box.read(all, at(1));
  expect(entry).toMatchObject({ payloads: ["V 65535", "N(unknown (65535)) 8", "N(unknown (0)) 308"] });
});

test("what is older than ten minutes is gone", () => {
  const box = new BlackBox();
  box.noteMessage(message("paris"), at(0));
  box.noteDecision(decision("paris"), at(1));
  expect(box.read(all, at(BLACK_BOX_SPAN))).toHaveLength(2);
  expect(box.read(all, at(BLACK_BOX_SPAN + 1))).toHaveLength(1);
  expect(box.read(all, at(BLACK_BOX_SPAN + 2))).toEqual([]);
});

test("a flood of what anybody can send takes nothing from what keys protect, nor from other connections", () => {
  const box = new BlackBox();
  box.noteMessage(message("paris"), at(1));
  box.noteMessage(message("oslo"), at(1));
  box.noteDecision(decision("paris"), at(1));
  for (let i = 0; i < 5000; i++) {
    box.noteMessage(message("paris", { isProtected: false, direction: "inbound" }), at(2 + i));
    box.noteMessage(message(undefined, { isProtected: false }), at(2 + i));
  }
  const entries = box.read(all, at(10_000));
  expect(entries.filter((entry) => entry.kind === "message" && entry.isProtected)).toHaveLength(2);
  expect(entries.filter(({ kind }) => kind === "decision")).toHaveLength(1);
  expect(entries).toHaveLength(3 + 2 * INIT_KEPT_MAX);
  expect(box.leftOut(at(10_000))).toBe(10_000 - 2 * INIT_KEPT_MAX);
});

test("a connection has its share, all of them theirs, and decisions that come again are counted", () => {
  const box = new BlackBox();
  for (let i = 0; i < 1000; i++) {
    box.noteMessage(message("paris"), at(i));
    box.noteDecision(decision("paris", "lan"), at(i));
    box.noteDecision(decision("oslo", `c${i}`), at(i));
  }
  const of = (name: string) => box.read((one) => one === name, at(1000));
  expect(of("paris")).toHaveLength(PROTECTED_KEPT_MAX + 1);
  expect(of("paris").find(({ kind }) => kind === "decision")).toMatchObject({
    count: 1000,
    secondsAgo: 0.001,
  });
  expect(of("oslo")).toHaveLength(DECISIONS_KEPT_MAX);
  for (let i = 0; i < 3 * ENTRIES_KEPT_MAX; i++)
    box.noteMessage(message(`peer#${i % 3000}`), at(1000 + i / 100));
  expect(box.read(all, at(2000)).length).toBeLessThanOrEqual(ENTRIES_KEPT_MAX);
  expect(box.read(all, at(2000)).length).toBeGreaterThan(ENTRIES_KEPT_MAX / 2);
});

test("a name means a connection and its peers; a failure is hinted at once, a crash says the last of it", () => {
  const box = new BlackBox();
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const control = new BlackBoxControl({
    box,
    clock: { now: () => at(5000) },
    log: { debug: note, info: note, warn: note, error: note },
    isName: (name) => name === "paris",
  });
  for (const name of ["paris", "paris#2", "paris#1.3", "parish", undefined])
    box.noteMessage(message(name), at(4000));
  expect(control.read("paris").entries.map(({ connection }) => connection)).toEqual([
    "paris",
    "paris#2",
    "paris#1.3",
  ]);
  expect(control.read(undefined).entries).toHaveLength(5);
  expect(() => control.read("rome")).toThrow("no connection is named rome");
  for (const name of ["paris", "paris", "a", "b", "c", "d", "e", "f", "g"])
    control.hint({ code: "noAnswer", connection: name } as never);
  expect(lines).toHaveLength(6);
  expect(lines[0]).toBe("tungate blackbox paris shows what came before, for ten minutes");

  for (let i = 0; i < 100; i++) box.noteMessage(message("paris"), at(4000 + i));
  const words = lastWords(box, at(5000));
  expect(words).toHaveLength(40);
  expect(words.at(-1)).toBe("0.9 s before  paris  to 198.51.100.2:4500  IKE_AUTH request 1  ");
  expect(blackboxText(control.read("paris#2"), 86_400_000)).toContain(
    "paris#2  -> 198.51.100.2:4500  IKE_AUTH request 1, 200 octets",
  );
});
