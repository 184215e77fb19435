/** Values of every payload, as fast-check draws them: what an encoder of this project may be given. */
import fc from "fast-check";
import { compare, toHex } from "../../../../src/base/bytes.ts";
import type { IkeSpi } from "../../../../src/base/spi.ts";
import type { OutgoingHeader } from "../../../../src/wire/ike/header.ts";
import type { Payload, Proposal, TrafficSelectorWire, Transform } from "../../../../src/wire/ike/payload.ts";
import { IdType, PayloadType, ProtocolId, TrafficSelectorType } from "../../../../src/wire/ike/registries.ts";

const uint = (most: number) => fc.integer({ min: 0, max: most });
export const u8 = uint(0xff);
const u16 = uint(0xffff);
const u32 = uint(0xffffffff);

export function octets(minLength: number, maxLength = minLength): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength, maxLength });
}

const transform: fc.Arbitrary<Transform> = fc
  .record({ type: u8, id: u16, keyBits: fc.option(u16) })
  .map(({ type, id, keyBits }) => (keyBits === null ? { type, id } : { type, id, keyBits }));

const proposal: fc.Arbitrary<Proposal> = fc.record({
  number: u8,
  protocolId: u8,
  spi: octets(0, 255),
  transforms: fc.array(transform, { maxLength: 12 }),
});

const spiOf = fc.oneof(
  fc.record({ protocolId: u8, spi: octets(0) }),
  fc.record({ protocolId: fc.constantFrom(ProtocolId.AH, ProtocolId.ESP), spi: octets(4) }),
  fc.record({ protocolId: fc.constantFrom(ProtocolId.NONE, ProtocolId.IKE, 200), spi: octets(8) }),
);

const ports = fc.oneof(
  fc.tuple(u16, u16).map(([a, b]) => ({ startPort: Math.min(a, b), endPort: Math.max(a, b) })),
  fc.constant({ startPort: 65535, endPort: 0 }),
);

const selector: fc.Arbitrary<TrafficSelectorWire> = fc
  .constantFrom<[number, number]>(
    [TrafficSelectorType.IPV4_ADDR_RANGE, 4],
    [TrafficSelectorType.IPV6_ADDR_RANGE, 16],
  )
  .chain(([type, length]) => fc.tuple(fc.constant(type), u8, ports, octets(length), octets(length)))
  .map(([type, protocol, range, a, b]) => {
    const [startAddress, endAddress] = compare(a, b) <= 0 ? [a, b] : [b, a];
    return { type, protocol, ...range, startAddress, endAddress };
  });

const identity = fc.oneof(
  fc.record({ idType: fc.constant(IdType.IPV4_ADDR), data: octets(4) }),
  fc.record({ idType: fc.constant(IdType.IPV6_ADDR), data: octets(16) }),
  fc.record({ idType: u8.filter((type) => type !== 1 && type !== 5), data: octets(0, 80) }),
);

const eapMessage = octets(0, 60).chain((data) =>
  fc.tuple(u8, u8).map(([code, id]) => {
    const length = 4 + data.length;
    return Uint8Array.from([code, id, length >> 8, length & 0xff, ...data]);
  }),
);

const KNOWN: readonly number[] = Object.values(PayloadType);
const unknownType = u8.filter((type) => !KNOWN.includes(type));

const kind = <Kind extends string>(...kinds: Kind[]) => fc.constantFrom(...kinds);

/** Any payload but the encrypted ones. */
export const plainPayload: fc.Arbitrary<Payload> = fc.oneof(
  fc.record({ kind: kind("SA"), proposals: fc.array(proposal, { minLength: 1, maxLength: 5 }) }),
  fc.record({ kind: kind("KE"), method: u16, data: octets(0, 300) }),
  fc.tuple(kind("IDi", "IDr"), identity).map(([each, id]) => ({ kind: each, ...id })),
  fc.record({ kind: kind("CERT", "CERTREQ"), encoding: u8, data: octets(0, 300) }),
  fc.record({ kind: kind("AUTH"), method: u8, data: octets(0, 300) }),
  fc.record({ kind: kind("Nonce"), data: octets(16, 256) }),
  fc.tuple(spiOf, u16, octets(0, 80)).map(([spi, notifyType, data]) => ({
    kind: "N" as const,
    ...spi,
    notifyType,
    data,
  })),
  fc.oneof(
    fc.record({ kind: kind("D"), protocolId: fc.constant(ProtocolId.IKE), spis: fc.constant([]) }),
    fc.record({
      kind: kind("D"),
      protocolId: fc.constantFrom(ProtocolId.AH, ProtocolId.ESP),
      spis: fc.array(octets(4), { maxLength: 12 }),
    }),
  ),
  fc.record({ kind: kind("V"), data: octets(0, 60) }),
  fc.record({ kind: kind("TSi", "TSr"), selectors: fc.array(selector, { maxLength: 12 }) }),
  fc.record({
    kind: kind("CP"),
    cfgType: u8,
    attributes: fc.array(fc.record({ type: uint(0x7fff), value: octets(0, 40) }), { maxLength: 12 }),
  }),
  fc.record({ kind: kind("EAP"), message: eapMessage }),
  fc.record({
    kind: kind("unknown"),
    payloadType: unknownType,
    critical: fc.boolean(),
    body: octets(0, 60),
  }),
);

export const encryptedPayload: fc.Arbitrary<Payload> = fc.oneof(
  fc.record({ kind: kind("SK"), firstInnerPayload: u8, body: octets(0, 300) }),
  fc
    .record({ kind: kind("SKF"), firstInnerPayload: u8, number: u16, total: u16, body: octets(0, 300) })
    .filter(({ number, total }) => number > 0 && total > 0)
    .map(({ number, total, ...rest }) => ({
      ...rest,
      fragmentNumber: Math.min(number, total),
      totalFragments: Math.max(number, total),
    })),
);

/** The payloads of a message: any number, and perhaps an encrypted one at the end. */
export const payloads: fc.Arbitrary<readonly Payload[]> = fc
  .tuple(fc.array(plainPayload, { maxLength: 8 }), fc.option(encryptedPayload))
  .map(([plain, last]) => (last === null ? plain : [...plain, last]));

const ikeSpi = octets(8).map((spi) => toHex(spi) as IkeSpi);

export const outgoingHeader: fc.Arbitrary<OutgoingHeader> = fc.record({
  initiatorSpi: ikeSpi,
  responderSpi: ikeSpi,
  exchangeType: u8,
  isFromInitiator: fc.boolean(),
  isResponse: fc.boolean(),
  messageId: u32,
});

/** A run of octets with a few of them changed, inserted or cut off. */
export function damaged(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    place: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    what: fc.constantFrom("set" as const, "insert" as const, "cut" as const, "truncate" as const),
    value: fc.oneof(u8, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
  });
  return fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 6 })).map(([whole, changes]) => {
    let current: Uint8Array = Uint8Array.from(whole);
    for (const { place, what, value } of changes) {
      const at = Math.floor(place * current.length);
      const head = current.subarray(0, at);
      if (what === "set") current = Uint8Array.from([...head, value, ...current.subarray(at + 1)]);
      if (what === "insert") current = Uint8Array.from([...head, value, ...current.subarray(at)]);
      if (what === "cut") current = Uint8Array.from([...head, ...current.subarray(at + 1 + (value & 7))]);
      if (what === "truncate") current = head;
    }
    return current;
  });
}
