/** Packets that go by the one before them: whatever differs is judged anew. */
import { expect, test } from "vitest";
import { LastPacket } from "../../../src/dataplane/last-packet.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { tcpPacket, udpPacket } from "../io/tcp-segments.ts";
import { endpoint, installPair, makePair, selectors } from "./gateway-fixture.ts";
import { packet } from "./packets.ts";
import { PlainSender } from "./plain-sender.ts";

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const FAMILIES = [4, 6] as const;

function remembered(bytes: Uint8Array): LastPacket | undefined {
  const fields = createPacketFields();
  const last = new LastPacket();
  expect(parseIpPacket(bytes, 0, bytes.length, fields)).toBe(true);
  return last.remember(viewOf(bytes), 0, fields) ? last : undefined;
}

for (const family of FAMILIES) {
  const payload = Uint8Array.from({ length: 100 }, (_, i) => i);
  const tcp = tcpPacket({ family, sourcePort: 9, sequence: 1, payload, id: 3 });

  test(`IPv${family}: what policy does not look at may differ`, () => {
    const last = remembered(tcp)!;
    const other = tcpPacket({
      family,
      sourcePort: 9,
      sequence: 99,
      payload: payload.subarray(7),
      id: 77,
      hops: 3,
      flags: 1,
    });
    expect(last.isLike(viewOf(tcp), 0, tcp.length)).toBe(true);
    expect(last.isLike(viewOf(other), 0, other.length)).toBe(true);
    for (const more of [3, 4, 13])
      expect(last.isLike(viewOf(tcp), 0, (family === 4 ? 20 : 40) + more)).toBe(false);
    const syn = tcpPacket({ family, sourcePort: 9, sequence: 1, payload, flags: 0x12 });
    expect(last.isLike(viewOf(syn), 0, syn.length)).toBe(false);
  });

  test(`IPv${family}: any bit of what it does look at makes another packet`, () => {
    const last = remembered(tcp)!;
    const ip = family === 4 ? 20 : 40;
    // Version, header length, TOS; fragment; protocol; addresses; ports. IPv4's DF is not looked at.
    const looked =
      family === 4
        ? [0, 1, 6, 7, 9, ...Array.from({ length: 12 }, (_, i) => 12 + i)]
        : [0, 1, 2, 3, 6, ...Array.from({ length: 36 }, (_, i) => 8 + i)];
    for (const at of looked)
      for (let bit = 0; bit < 8; bit++) {
        if (family === 4 && at === 6 && bit >= 6) continue;
        const copy = tcp.slice();
        copy[at]! ^= 1 << bit;
        expect(last.isLike(viewOf(copy), 0, copy.length), `octet ${at} bit ${bit} of ${ip}`).toBe(false);
      }
  });
}

test("nothing follows from fragments, options, and protocols without ports", () => {
  const of = (more: Parameters<typeof packet>[0]) => packet({ ...more, payload: new Uint8Array(64) });
  const v4 = { source: "10.1.0.1", destination: "10.2.0.1" };
  expect(remembered(udpPacket({ family: 4, sourcePort: 1, payload: new Uint8Array(9) }))).toBeDefined();
  expect(remembered(of({ ...v4, protocol: 1 }))).toBeUndefined();
  expect(remembered(of({ ...v4, protocol: 47 }))).toBeUndefined();
  const fragment = udpPacket({ family: 4, sourcePort: 1, payload: new Uint8Array(64) });
  fragment[6] = 0x20;
  expect(remembered(fragment)).toBeUndefined();
});

test("[SPD-04] a packet outside its SA's selectors is refused behind one inside, of the same batch", () => {
  const { a, b, spis } = makePair({ selectors: selectors("10.1.0.0/16", "10.2.0.0/16") });
  const second = installPair(a, b, { selectors: selectors("10.7.0.0/16", "10.2.0.0/16") });
  const [first, other] = [new PlainSender(spis.bInbound), new PlainSender(second.bInbound)];
  const good = packet({ source: "10.1.0.5", destination: "10.2.0.9", protocol: 17, ports: [1, 2] });
  const bad = packet({ source: "10.9.0.5", destination: "10.2.0.9", protocol: 17, ports: [1, 2] });
  const arrivals = [first.seal(good, {}), first.seal(bad, {}), first.seal(good, {}), other.seal(good, {})];
  for (const bytes of arrivals)
    b.io.arrive({ local: endpoint("198.51.100.2"), remote: endpoint("192.0.2.1"), tos: 0, bytes });
  b.turn();
  expect(b.io.toHost[0]).toEqual([good, good]);
  expect(b.allDrops()).toEqual({ selectorMismatch: 2 });
});
