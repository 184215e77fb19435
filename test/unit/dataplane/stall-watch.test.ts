/** A full-size TCP segment that comes again and again: told once, and nothing else is. */
import { expect, test } from "vitest";
import { StallWatch } from "../../../src/dataplane/stall-watch.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { ipv4Packet } from "../wire/ip/packets.ts";

function segment(sequence: number, length = 1380, port = 1000): Uint8Array {
  const tcp = new Uint8Array(20 + length);
  new DataView(tcp.buffer).setUint16(0, port);
  new DataView(tcp.buffer).setUint32(4, sequence);
  tcp[12] = 0x50;
  return ipv4Packet({ source: "10.1.0.5", destination: "10.2.0.9", protocol: 6, dontFragment: true }, tcp);
}

function watcher(): (packet: Uint8Array, now: number) => boolean {
  const watch = new StallWatch();
  const fields = createPacketFields();
  return (packet, now) => {
    expect(parseIpPacket(packet, 0, packet.length, fields)).toBe(true);
    return watch.isStalled(packet, 0, fields, now);
  };
}

test("the second timeout of a segment tells, and others within a second do not", () => {
  const sees = watcher();
  expect([0, 200, 600].map((now) => sees(segment(77), now))).toEqual([false, false, true]);
  expect(sees(segment(77), 1400)).toBe(false);
  expect(sees(segment(77), 3000)).toBe(true);
});

test("what goes forward, comes doubled at once, or carries nothing is no stall", () => {
  const sees = watcher();
  for (let i = 0; i < 50; i++) expect(sees(segment(1000 * i), 300 * i)).toBe(false);
  const doubled = watcher();
  for (let i = 0; i < 50; i++) expect(doubled(segment(5), i)).toBe(false);
  const empty = watcher();
  for (let i = 0; i < 50; i++) expect(empty(segment(5, 0), 300 * i)).toBe(false);
});

test("one flow is not taken for another", () => {
  const sees = watcher();
  const told = Array.from({ length: 40 }, (_, i) => sees(segment(5, 1380, 1000 + i), 200 * i));
  expect(told).not.toContain(true);
});
