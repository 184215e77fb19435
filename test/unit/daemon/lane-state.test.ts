/** What lanes are started with before the configuration is read: plain data that is checked when it is read. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import {
  decodeLaneState,
  encodeLaneState,
  LANE_STATE_VERSION,
  type LaneState,
} from "../../../src/daemon/lane-state.ts";
import { decodePlain, encodePlain } from "../../../src/ike/sa/plain-value.ts";
import { compileSpd, lookupSpd, type SpdEntry } from "../../../src/policy/spd.ts";
import { selectors } from "../dataplane/gateway-fixture.ts";
import { drawing, keyWithin } from "../policy/spd-sets.ts";

const ENTRIES: readonly SpdEntry[] = [
  { action: "bypass", selectors: selectors("10.1.0.0/24", "10.1.0.0/24[udp/53]") },
  {
    action: "protect",
    selectors: selectors("10.1.0.0/16", "10.2.0.0/16"),
    policy: { name: "a/lan", index: 3 },
  },
  {
    action: "protect",
    selectors: selectors("2001:db8:1::/48", "2001:db8:2::/48"),
    policy: { name: "a/six", index: 1 },
  },
  { action: "discard", selectors: selectors("10.0.0.0/8", "10.0.0.0/8") },
];
const STATE: LaneState = {
  generation: 7,
  ground: {
    lanes: 2,
    isConfined: false,
    offloads: { sendsRuns: true, coalesces: false },
    devices: [{ name: "tungate0", asked: { tcp: true, udp: false } }],
    sockets: [
      { role: "ike", family: 4, localPort: 500, count: 1, address: parseIpAddress("192.0.2.1")! },
      { role: "whole", family: 6, localPort: 0, count: 1 },
    ],
    asked: {
      listen: [parseIpAddress("192.0.2.1")!],
      ports: { ike: 500, nat: 4500 },
      mark: 0x74670000,
      lanes: 2,
      isConfined: false,
      receivesAh: false,
      mergesReceived: true,
    },
  },
  policies: new Map([
    ["a/lan", 3],
    ["a/six", 1],
  ]),
  fingerprints: { connections: new Map([["a", "00ff"]]), policies: new Map([["a/lan", "11"]]) },
  spds: [compileSpd(ENTRIES)],
  outerAddresses: [parseIpAddress("192.0.2.1")!],
  peers: [parseIpAddress("2001:db8::2")!],
  given: [{ device: "tungate0", address: parseIpAddress("10.9.0.1")!, bits: 30 }],
};

test("comes back as it was, and its SPDs decide alike", () => {
  const read = decodeLaneState(encodeLaneState(STATE));
  expect(read).toEqual(STATE);
  const draw = drawing(3);
  for (let i = 0; i < 200; i++) {
    const key = keyWithin(ENTRIES[i % ENTRIES.length]!, draw);
    expect(lookupSpd(read.spds[0]!, key)).toBe(lookupSpd(STATE.spds[0]!, key));
  }
  expect(read.spds[0]!.selectors.u8.buffer).toBeInstanceOf(SharedArrayBuffer);
});

test("another meaning needs another version: a change of what is written here means that LANE_STATE_VERSION goes up", () => {
  const digest = createHash("sha256").update(encodeLaneState(STATE)).digest("hex").slice(0, 16);
  expect([LANE_STATE_VERSION, digest]).toEqual([3, "29c375272cb43738"]);
});

test("another version, and whatever has another shape, is refused", () => {
  const plain = decodePlain(encodeLaneState(STATE)) as Record<string, unknown>;
  const refused = (changes: object, code = "STATE_MALFORMED") =>
    expect(() => decodeLaneState(encodePlain({ ...plain, ...changes }))).toThrow(
      expect.objectContaining({ code }),
    );
  refused({ version: LANE_STATE_VERSION + 1 }, "STATE_VERSION");
  for (const key of Object.keys(plain).filter((name) => name !== "version"))
    for (const wrong of [undefined, -1, "x", [1], { a: 1 }, true]) refused({ [key]: wrong });
  const ground = plain["ground"] as Record<string, unknown>;
  for (const key of Object.keys(ground)) refused({ ground: { ...ground, [key]: null } });
  const spd = (plain["spds"] as Record<string, unknown>[])[0]!;
  for (const key of Object.keys(spd)) refused({ spds: [{ ...spd, [key]: Uint8Array.of(1, 2, 3) }] });
});
