/** Fragments by themselves: what is cut, put together again, refused and given up (RFC 7383). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import type { IpAddress } from "../../../src/base/ip-address.ts";
import { IkeSpi } from "../../../src/base/spi.ts";
import { encrAlgorithm } from "../../../src/crypto/encr.ts";
import { integAlgorithm } from "../../../src/crypto/integ.ts";
import type { IkeSuite } from "../../../src/ike/connection-state.ts";
import {
  FRAGMENTS_PER_MESSAGE_MAX,
  REASSEMBLED_OCTETS_MAX,
  REASSEMBLY_LIFETIME,
} from "../../../src/ike/limits.ts";
import { cutAnew, packetOctets, type Sealing, sealPackets } from "../../../src/ike/sa/fragmentation.ts";
import { addFragment, assembled, type Fragment, type Reassembly } from "../../../src/ike/sa/reassembly.ts";
import { openMessage, type Protection } from "../../../src/ike/sa/sk-payload.ts";
import type { Machine } from "../../../src/ike/turn.ts";
import { decodeMessage, decodePayloadChain } from "../../../src/wire/ike/message.ts";
import type { Payload, SkfPayload } from "../../../src/wire/ike/payload.ts";
import {
  Encr,
  ExchangeType,
  Integ,
  KeyExchangeMethod,
  PayloadType,
  Prf,
} from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "../../sim/ike-random.ts";
import { ip } from "../../sim/ike-world.ts";

const common = { prf: Prf.HMAC_SHA2_256, ke: KeyExchangeMethod.CURVE25519 };
const GCM: IkeSuite = { ...common, encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0 };
const CBC: IkeSuite = { ...common, encr: Encr.AES_CBC, encrKeyBits: 128, integ: Integ.HMAC_SHA2_256_128 };
const NOW = Instant(5000);
const machine = { random: seededRandom(7), ports: { ike: 500, nat: 4500 } } as unknown as Machine;
const local = { address: ip("192.0.2.1"), port: 4500 };
const remote = { address: ip("192.0.2.2"), port: 4500 };
const header = {
  initiatorSpi: IkeSpi(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
  responderSpi: IkeSpi(Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2)),
  exchangeType: ExchangeType.IKE_AUTH,
  isFromInitiator: true,
  isResponse: false,
  messageId: 1,
};

function sealing(suite: IkeSuite, octets: number | undefined, to: IpAddress = remote.address): Sealing {
  const { random } = machine;
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits)!.keyLength;
  const integ = suite.integ === 0 ? 0 : integAlgorithm(suite.integ)!.keyLength;
  const key = (length: number) => random.secretBytes(length);
  const keys = {
    skD: key(32),
    skAi: key(integ),
    skAr: key(integ),
    skEi: key(encr),
    skEr: key(encr),
    skPi: key(32),
    skPr: key(32),
  };
  const protection: Protection = { suite, keys, nextIv: 0 };
  const fragmentation = octets === undefined ? undefined : { octets };
  return { protection, fragmentation, local, remote: { address: to, port: 4500 } };
}

const vendorIds = (octets: number): Payload[] => [
  { kind: "V", data: machine.random.publicBytes(octets) },
  { kind: "V", data: machine.random.publicBytes(33) },
];

function opened(sa: Sealing, bytes: Uint8Array): Fragment {
  const message = decodeMessage(bytes);
  const payload = message.payloads.at(-1);
  if (payload?.kind !== "SKF") throw new Error("no fragment");
  const content = openMessage(sa.protection, true, bytes, payload);
  if (content === undefined) throw new Error("not authentic");
  return { header: message.header, payload, content, local, remote };
}

function collect(fragments: readonly Fragment[]): Reassembly | undefined {
  let held: Reassembly | undefined;
  for (const fragment of fragments) {
    const next = addFragment(held, fragment, NOW);
    if (typeof next !== "string") held = next;
  }
  return held;
}

describe.each([
  ["AES-GCM", GCM],
  ["AES-CBC with HMAC", CBC],
])("%s", (_, suite) => {
  test("[FRAG-03] [FRAG-07] [FRAG-10] cut to any size and put together in any order, with some twice, it is the same", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6000 }),
        fc.integer({ min: 200, max: 1500 }),
        fc.boolean(),
        fc.infiniteStream(fc.nat()),
        (length, octets, isV6, numbers) => {
          const sa = sealing(suite, octets, isV6 ? ip("2001:db8::2") : remote.address);
          const payloads = vendorIds(length);
          const packets = sealPackets(machine, sa, header, payloads);
          for (const { length: message } of packets)
            expect(packetOctets(4500, local, sa.remote, message)).toBeLessThanOrEqual(octets);
          if (packets.length === 1) {
            expect(decodeMessage(packets[0]!).payloads.at(-1)?.kind).toBe("SK");
            return;
          }
          const fragments = packets.map((bytes) => opened(sa, bytes));
          expect(fragments.map(({ payload }) => payload.fragmentNumber)).toEqual(
            packets.map((_, i) => i + 1),
          );
          const order = [...fragments, ...fragments].sort(() => ((numbers.next().value as number) % 3) - 1);
          const whole = collect(order)!;
          expect(whole.missing).toBe(0);
          expect(decodePayloadChain(whole.firstInnerPayload, assembled(whole))).toEqual(payloads);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("[FRAG-02] one message ID; the first tells the type of the first payload inside, the others 0; IVs differ", () => {
    const packets = sealPackets(machine, sealing(suite, 576), header, vendorIds(2000));
    const messages = packets.map(decodeMessage);
    expect(new Set(messages.map((message) => message.header.messageId))).toEqual(new Set([1]));
    const inner = messages.map(({ payloads }) => (payloads[0] as SkfPayload).firstInnerPayload);
    expect(inner).toEqual([PayloadType.V, ...inner.slice(1).map(() => 0)]);
    const ivs = messages.map(({ payloads }) =>
      Buffer.from((payloads[0] as SkfPayload).body.subarray(0, 8)).toString("hex"),
    );
    expect(new Set(ivs).size).toBe(packets.length);
  });

  test("[FRAG-04] the fragments hold nothing outside of the encrypted one", () => {
    for (const bytes of sealPackets(machine, sealing(suite, 576), header, vendorIds(2000)))
      expect(decodeMessage(bytes).payloads.map(({ kind }) => kind)).toEqual(["SKF"]);
  });

  test("[FRAG-09] [FRAG-06] number and total are authenticated: one that is changed does not open", () => {
    const sa = sealing(suite, 576);
    const [bytes] = sealPackets(machine, sa, header, vendorIds(2000));
    for (const at of [32, 33, 34, 35]) {
      const forged = Uint8Array.from(bytes!);
      forged[at] = forged[at]! ^ 0x40;
      const body = forged.subarray(36);
      const payload: SkfPayload = {
        kind: "SKF",
        firstInnerPayload: 43,
        fragmentNumber: 1,
        totalFragments: 9,
        body,
      };
      expect(openMessage(sa.protection, true, forged, payload), `octet ${at}`).toBeUndefined();
    }
  });

  test("what was sent is cut anew without being kept in clear, into more pieces", () => {
    const sa = sealing(suite, 1280);
    const payloads = vendorIds(3000);
    const first = sealPackets(machine, sa, header, payloads);
    sa.fragmentation!.octets = 576;
    const again = cutAnew(machine, { ...sa, isOriginalInitiator: true }, first);
    expect(again.length).toBeGreaterThan(first.length);
    const whole = collect(again.map((bytes) => opened(sa, bytes)))!;
    expect(decodePayloadChain(whole.firstInnerPayload, assembled(whole))).toEqual(payloads);
    expect(cutAnew(machine, { ...sa, isOriginalInitiator: true }, again)).toBe(again);
  });

  test("[FRAG-06] cut anew for a size that is hardly smaller, there are more pieces all the same: old ones fit none of them", () => {
    for (const [length, octets] of [
      [700, 600],
      [1300, 990],
      [2500, 1270],
    ] as const) {
      const sa = sealing(suite, octets);
      const payloads = vendorIds(length);
      const first = sealPackets(machine, sa, header, payloads);
      sa.fragmentation!.octets = octets - 24;
      const again = cutAnew(machine, { ...sa, isOriginalInitiator: true }, first);
      expect(again.length).toBeGreaterThan(first.length);
      const mixed = [
        opened(sa, first[0]!),
        ...again.map((bytes) => opened(sa, bytes)),
        opened(sa, first.at(-1)!),
      ];
      const whole = collect(mixed)!;
      expect(decodePayloadChain(whole.firstInnerPayload, assembled(whole))).toEqual(payloads);
    }
  });
});

test("[FRAG-01] a peer that takes no fragments gets the message whole, whatever its length", () => {
  const packets = sealPackets(machine, sealing(GCM, undefined), header, vendorIds(5000));
  expect(packets.map((bytes) => decodeMessage(bytes).payloads[0]?.kind)).toEqual(["SK"]);
});

const piece = (
  fragmentNumber: number,
  totalFragments: number,
  octets = 10,
  changes: Partial<Fragment["header"]> = {},
): Fragment => ({
  header: { ...decodeMessage(sealPackets(machine, sealing(GCM, 576), header, [])[0]!).header, ...changes },
  payload: { kind: "SKF", firstInnerPayload: 43, fragmentNumber, totalFragments, body: new Uint8Array(0) },
  content: new Uint8Array(octets).fill(fragmentNumber),
  local,
  remote,
});

test("[FRAG-05] [FRAG-06] a smaller total is dropped, a larger one begins anew", () => {
  const held = collect([piece(1, 3), piece(2, 3)])!;
  expect(addFragment(held, piece(1, 2), NOW)).toBe("fragmentMismatch");
  const again = addFragment(held, piece(2, 4), NOW) as Reassembly;
  expect([again.totalFragments, again.missing, again.octets]).toEqual([4, 3, 10]);
});

test("[FRAG-07] duplicates change nothing, also where they contradict what is here", () => {
  const held = collect([piece(1, 3), piece(2, 3)])!;
  expect(addFragment(held, piece(2, 3, 99), NOW)).toBe("repeatedFragment");
  expect(addFragment(held, piece(3, 3, 10, { exchangeType: 36 }), NOW)).toBe("fragmentMismatch");
});

test("[FRAG-07] what is held is bounded in number, octets and time, and another message takes its place", () => {
  expect(addFragment(undefined, piece(1, FRAGMENTS_PER_MESSAGE_MAX + 1), NOW)).toBe("tooManyFragments");
  const large = Math.floor(REASSEMBLED_OCTETS_MAX / 2);
  const held = collect([piece(1, 9, large), piece(2, 9, large)])!;
  expect(addFragment(held, piece(3, 9, 2), NOW)).toBe("messageTooLong");
  const late = Instant(NOW + REASSEMBLY_LIFETIME);
  expect((addFragment(held, piece(3, 9), late) as Reassembly).missing).toBe(8);
  const other = addFragment(held, piece(3, 9, 10, { messageId: 2 }), NOW) as Reassembly;
  expect([other.header.messageId, other.missing]).toEqual([2, 8]);
});
