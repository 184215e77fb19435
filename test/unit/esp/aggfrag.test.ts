import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, toHex } from "../../../src/base/bytes.ts";
import { AggfragLoss } from "../../../src/esp/aggfrag-reassembly.ts";
import { AggfragReceiver, REORDER_MS } from "../../../src/esp/aggfrag-receiver.ts";
import { AggfragSender } from "../../../src/esp/aggfrag-sender.ts";
import { aggfragBlockOffset } from "../../../src/wire/esp/aggfrag.ts";
import { innerPacket } from "./inner-packet.ts";

const PAYLOAD = 200;

interface Heard {
  readonly packets: string[];
  readonly marks: boolean[];
  readonly losses: AggfragLoss[];
  readonly receiver: AggfragReceiver;
}

function makeReceiver(window = 3, packetLengthMax = 9000): Heard {
  const packets: string[] = [];
  const marks: boolean[] = [];
  const losses: AggfragLoss[] = [];
  const sink = {
    take(bytes: Uint8Array, at: number, length: number, isMarked: boolean) {
      packets.push(toHex(bytes.subarray(at, at + length)));
      marks.push(isMarked);
    },
    lose: (loss: AggfragLoss) => void losses.push(loss),
  };
  const receiver = new AggfragReceiver({ sink, window, payloadLengthMax: 2000, packetLengthMax });
  return { packets, marks, losses, receiver };
}

/** Everything that waits, as payloads. */
function payloadsOf(sender: AggfragSender, size = PAYLOAD, isFixed = true, mayFragment = true): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  while (sender.packets > 0) {
    const bytes = new Uint8Array(size).fill(0xee);
    payloads.push(bytes.slice(0, sender.fill(bytes, 0, size, isFixed, mayFragment)));
  }
  return payloads;
}

function senderOf(...packets: Uint8Array[]): AggfragSender {
  const sender = new AggfragSender(1 << 20, 4096);
  for (const packet of packets) expect(sender.enqueue(packet, 0, packet.length)).toBe(true);
  return sender;
}

function feed(
  { receiver }: Heard,
  payloads: readonly Uint8Array[],
  order = payloads.map((_, i) => i),
  now = 0,
) {
  for (const i of order) receiver.take(i + 1, payloads[i]!, 0, payloads[i]!.length, false, now);
}

const anyPacket = fc
  .tuple(fc.constantFrom<4 | 6>(4, 6), fc.integer({ min: 40, max: 3000 }), fc.nat(255))
  .map(([family, length, seed]) => innerPacket(family, length, seed));
const packets = fc.array(anyPacket, { minLength: 1, maxLength: 40 });

test("[TFS-02] what goes in comes out, in order, whatever the sizes", () => {
  fc.assert(
    fc.property(packets, fc.integer({ min: 50, max: 1500 }), fc.boolean(), (list, size, isFixed) => {
      const payloads = payloadsOf(senderOf(...list), size, isFixed);
      if (isFixed) expect(payloads.every(({ length }) => length === size)).toBe(true);
      const heard = makeReceiver();
      feed(heard, payloads);
      expect(heard.packets).toEqual(list.map(toHex));
      expect(heard.losses).toEqual([]);
    }),
  );
});

test("[TFS-06] with loss, duplication and reordering no packet comes out that did not go in, and none twice", () => {
  const path = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 6 })), { minLength: 1 });
  fc.assert(
    fc.property(packets, path, fc.integer({ min: 0, max: 8 }), (list, fates, window) => {
      const payloads = payloadsOf(senderOf(...list));
      const heard = makeReceiver(window);
      const order = payloads
        .map((_, i) => ({
          i,
          key: i + fates[i % fates.length]![1],
          isLost: fates[i % fates.length]![0] && i % 3 === 0,
        }))
        .filter(({ isLost }) => !isLost)
        .sort((a, b) => a.key - b.key)
        .map(({ i }) => i);
      feed(heard, payloads, order);
      heard.receiver.expire(REORDER_MS);
      let next = 0;
      for (const packet of heard.packets) {
        next = list.findIndex((one, i) => i >= next && toHex(one) === packet) + 1;
        expect(next).toBeGreaterThan(0);
      }
    }),
  );
});

test("[TFS-06] any octets at all are survived, and what comes out has the length that its header says", () => {
  const payload = fc.uint8Array({ minLength: 0, maxLength: 80 }).map((octets) => {
    if (octets.length > 0) octets[0] = octets[0]! & 1;
    if (octets.length > 2) octets[2] = 0;
    return octets;
  });
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 12 }), (payloads) => {
      const heard = makeReceiver(2, 300);
      feed(heard, payloads);
      for (const packet of heard.packets) {
        const octets = Buffer.from(packet, "hex");
        const said = octets[0]! >>> 4 === 4 ? octets.readUInt16BE(2) : 40 + octets.readUInt16BE(4);
        expect(said).toBe(octets.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test("[TFS-03] a payload without anything to send is a block offset of zero and padding", () => {
  const bytes = new Uint8Array(PAYLOAD).fill(0xee);
  expect(senderOf().fill(bytes, 0, PAYLOAD, true, true)).toBe(PAYLOAD);
  expect(bytes.every((octet) => octet === 0)).toBe(true);
});

test("[TFS-08] padding and empty payloads between the pieces of a packet do not harm it", () => {
  const whole = innerPacket(4, 500, 1);
  const payloads = payloadsOf(senderOf(whole));
  const pad = new Uint8Array(PAYLOAD);
  const heard = makeReceiver();
  feed(heard, [payloads[0]!, pad, payloads[1]!, new Uint8Array(4), payloads[2]!]);
  expect(heard.packets).toEqual([toHex(whole)]);
  expect(heard.losses).toEqual([]);
});

test("[TFS-06] a lost piece costs its packet and no other", () => {
  const list = [innerPacket(4, 100, 1), innerPacket(4, 500, 2), innerPacket(6, 90, 3)];
  const payloads = payloadsOf(senderOf(...list));
  const heard = makeReceiver(0);
  feed(heard, payloads, [0, 2, 3]);
  expect(heard.packets).toEqual([toHex(list[0]!), toHex(list[2]!)]);
  expect(heard.losses).toEqual([AggfragLoss.INCOMPLETE]);
});

test("[TFS-06] payloads within the window are put in order; behind it they are late", () => {
  const list = [1, 2, 3, 4, 5, 6].map((seed) => innerPacket(4, 190, seed));
  const payloads = payloadsOf(senderOf(...list));
  const heard = makeReceiver(3);
  feed(heard, payloads, [0, 3, 2, 1]);
  expect(heard.packets).toEqual(list.slice(0, 4).map(toHex));
  const late = makeReceiver(2);
  feed(late, payloads, [0, 2, 3, 4, 1]);
  expect(late.losses).toContain(AggfragLoss.LATE);
});

test("[TFS-06] what waits for a lost payload waits no longer than the reorder time", () => {
  const whole = innerPacket(4, 190, 7);
  const payloads = payloadsOf(senderOf(innerPacket(4, 196, 1), whole), PAYLOAD, false);
  const heard = makeReceiver(3);
  heard.receiver.take(2, payloads[1]!, 0, payloads[1]!.length, false, 100);
  expect(heard.packets).toEqual([]);
  expect(heard.receiver.expiresAt).toBe(100 + REORDER_MS);
  heard.receiver.expire(100 + REORDER_MS - 1);
  expect(heard.packets).toEqual([]);
  heard.receiver.expire(100 + REORDER_MS);
  expect(heard.packets).toEqual([toHex(whole)]);
  expect(heard.receiver.expiresAt).toBe(Number.POSITIVE_INFINITY);
});

test("an SA that was running before, or whose sender began anew, is joined", () => {
  const whole = innerPacket(4, 190, 7);
  const [payload] = payloadsOf(senderOf(whole));
  const heard = makeReceiver(3);
  heard.receiver.take(1e9, payload!, 0, PAYLOAD, false, 0);
  expect(heard.packets).toHaveLength(1);
  for (let sequence = 1; sequence <= 70; sequence++)
    heard.receiver.take(sequence, payload!, 0, PAYLOAD, false, 0);
  expect(heard.packets).toHaveLength(1 + 70 - 64);
});

test("a repeated number that waits already is not taken twice", () => {
  const payloads = payloadsOf(senderOf(innerPacket(4, 196, 1), innerPacket(4, 196, 2)));
  const heard = makeReceiver(3);
  feed(heard, payloads, [1, 1, 0]);
  expect(heard.packets).toHaveLength(2);
  expect(heard.receiver.expiresAt).toBe(Number.POSITIVE_INFINITY);
});

test("[TFS-06] a block offset that contradicts the header costs the packet, not what follows", () => {
  const list = [innerPacket(4, 300, 1), innerPacket(4, 60, 2)];
  const payloads = payloadsOf(senderOf(...list));
  const lying = payloads[1]!;
  expect(aggfragBlockOffset(lying, 0)).toBe(104);
  lying[3] = lying[3]! - 4;
  const heard = makeReceiver();
  feed(heard, payloads);
  expect(heard.packets).not.toContain(toHex(list[0]!));
  expect(heard.losses[0]).toBe(AggfragLoss.INCOMPLETE);
});

test("a packet longer than the receiver takes is counted and passed over", () => {
  const list = [innerPacket(4, 60, 1), innerPacket(4, 1000, 2), innerPacket(4, 60, 3)];
  const heard = makeReceiver(3, 500);
  feed(heard, payloadsOf(senderOf(...list)));
  expect(heard.packets).toEqual([toHex(list[0]!), toHex(list[2]!)]);
  expect(heard.losses).toEqual([AggfragLoss.TOO_LONG]);
});

test("a header that is cut in front of its length field is put together", () => {
  for (const [family, cut] of [
    [4, 1],
    [4, 3],
    [6, 5],
  ] as const) {
    const whole = innerPacket(family, 120, cut);
    const first = concat(Uint8Array.of(0, 0, 0, 0), whole.subarray(0, cut));
    const second = concat(Uint8Array.of(0, 0, 0, 120 - cut), whole.subarray(cut));
    const heard = makeReceiver();
    feed(heard, [first, second]);
    expect(heard.packets).toEqual([toHex(whole)]);
    const liar = makeReceiver();
    feed(liar, [first, concat(Uint8Array.of(0, 0, 0, 119 - cut), whole.subarray(cut))]);
    expect(liar.packets).toEqual([]);
    expect(liar.losses).toContain(AggfragLoss.MALFORMED);
  }
});

test("[TFS-09] congestion marks of any of the outer packets reach the inner one", () => {
  const payloads = payloadsOf(senderOf(innerPacket(4, 300, 1), innerPacket(4, 60, 2)));
  const heard = makeReceiver();
  heard.receiver.take(1, payloads[0]!, 0, PAYLOAD, true, 0);
  heard.receiver.take(2, payloads[1]!, 0, PAYLOAD, false, 0);
  expect(heard.marks).toEqual([true, false]);
});

test("[TFS-07] without fragmentation packets stay whole and none begins that does not fit", () => {
  const list = [60, 100, 120, 40, 196].map((length, i) => innerPacket(4, length, i));
  const payloads = payloadsOf(senderOf(...list), PAYLOAD, false, false);
  for (const payload of payloads) expect(aggfragBlockOffset(payload, 0)).toBe(0);
  expect(payloads.map(({ length }) => length)).toEqual([164, 164, 200]);
  const long = senderOf(innerPacket(4, 197, 1));
  expect(long.fill(new Uint8Array(PAYLOAD), 0, PAYLOAD, false, false)).toBe(4);
  expect(long.packets).toBe(1);
});

test("a first piece is long enough to know the whole length by", () => {
  const payloads = payloadsOf(senderOf(innerPacket(4, 160, 1), innerPacket(6, 60, 2)));
  expect(aggfragBlockOffset(payloads[1]!, 0)).toBe(0);
  expect(payloads[0]!.subarray(164).every((octet) => octet === 0)).toBe(true);
});

test("[TFS-05] after a rekey a packet that was sent in part goes whole through the new SA", () => {
  const list = [innerPacket(4, 500, 1), innerPacket(4, 60, 2)];
  const old = senderOf(...list);
  old.fill(new Uint8Array(PAYLOAD), 0, PAYLOAD, true, true);
  expect(old.isAmidPacket).toBe(true);
  const successor = senderOf();
  expect(old.moveTo(successor)).toBe(0);
  const heard = makeReceiver();
  feed(heard, payloadsOf(successor));
  expect(heard.packets).toEqual(list.map(toHex));
});

test("the queue is bounded in octets and in packets, and whole again when it is emptied", () => {
  const sender = new AggfragSender(250, 3);
  const packet = innerPacket(4, 100, 1);
  const fill = () => [1, 2, 3].map(() => sender.enqueue(packet, 0, 100));
  for (let round = 0; round < 5; round++) {
    expect(fill()).toEqual([true, true, false]);
    expect(sender.waiting).toBe(200);
    expect(payloadsOf(sender)).toHaveLength(2);
  }
  const small = new AggfragSender(1000, 2);
  expect([1, 2, 3].map(() => small.enqueue(packet, 0, 100))).toEqual([true, true, false]);
});
