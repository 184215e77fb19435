import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BlockType,
  interfaceBlock,
  packetBlock,
  secretsBlock,
  sectionBlock,
  statisticsBlock,
} from "../../../src/wire/capture/pcapng.ts";
import { lostOf, PcapngReader, secretsOf } from "../../../src/wire/capture/pcapng-reader.ts";

/** Another reader than the one of the sources: what the format's description says, and nothing else. */
function dissect(block: Uint8Array, fields: number) {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const length = view.getUint32(4, true);
  const options: { code: number; value: Uint8Array }[] = [];
  let at = 8 + fields;
  let hasEnd = false;
  while (at < length - 4) {
    const code = view.getUint16(at, true);
    const octets = view.getUint16(at + 2, true);
    at += 4;
    if (code === 0) {
      hasEnd = true;
      break;
    }
    options.push({ code, value: block.slice(at, at + octets) });
    const end = at + octets;
    at = Math.ceil(end / 4) * 4;
    expect(block.slice(end, at).every((octet) => octet === 0)).toBe(true);
  }
  return {
    type: view.getUint32(0, true),
    length,
    again: view.getUint32(length - 4, true),
    options,
    hasEnd,
    isAtEnd: at === length - 4,
    view,
  };
}

const text = (value: Uint8Array | undefined) => new TextDecoder("utf-8", { fatal: true }).decode(value);

test("a packet's block is whole whatever the lengths of its octets and its comment", () => {
  fc.assert(
    fc.property(
      fc.record({
        interfaceIndex: fc.nat(40),
        at: fc.nat(2 ** 51),
        octets: fc.uint8Array({ maxLength: 70 }),
        more: fc.nat(70_000),
        direction: fc.constantFrom("inbound" as const, "outbound" as const),
        comment: fc.option(fc.string({ unit: "binary", maxLength: 40 }), { nil: undefined }),
      }),
      ({ more, comment, ...packet }) => {
        const length = packet.octets.length + more;
        const block = packetBlock({ ...packet, length, ...(comment === undefined ? {} : { comment }) });
        const padded = Math.ceil(packet.octets.length / 4) * 4;
        const found = dissect(block, 20 + padded);
        expect(found).toMatchObject({
          type: 6,
          length: block.length,
          again: block.length,
          hasEnd: true,
          isAtEnd: true,
        });
        expect(block.length % 4).toBe(0);
        const { view } = found;
        expect(view.getUint32(8, true)).toBe(packet.interfaceIndex);
        expect(view.getUint32(12, true) * 2 ** 32 + view.getUint32(16, true)).toBe(packet.at);
        expect([view.getUint32(20, true), view.getUint32(24, true)]).toEqual([packet.octets.length, length]);
        expect(block.slice(28, 28 + packet.octets.length)).toEqual(packet.octets);
        const flags = found.options.find(({ code }) => code === 2)?.value;
        expect(flags).toEqual(Uint8Array.of(packet.direction === "inbound" ? 1 : 2, 0, 0, 0));
        const said = found.options.find(({ code }) => code === 1)?.value;
        expect(said === undefined).toBe(comment === undefined);
        if (comment !== undefined && !/\p{Cs}/u.test(comment))
          expect(text(said)).toBe(comment.replaceAll("\0", ""));
      },
    ),
    { numRuns: 50 },
  );
});

test("a comment that no option can hold is cut between characters", () => {
  const block = packetBlock({
    interfaceIndex: 0,
    at: 0,
    octets: new Uint8Array(0),
    length: 0,
    direction: "inbound",
    comment: `x${"ü".repeat(40_000)}`,
  });
  const said = dissect(block, 20).options.find(({ code }) => code === 1)!.value;
  expect(said.length).toBe(65_535);
  expect(text(said)).toBe(`x${"ü".repeat(32_767)}`);
});

test("a file begins with its section and names its interfaces", () => {
  const section = dissect(sectionBlock("tungate 1"), 16);
  expect(section).toMatchObject({ type: 0x0a0d0d0a, isAtEnd: true });
  expect([
    section.view.getUint32(8, true),
    section.view.getUint16(12, true),
    section.view.getUint16(14, true),
  ]).toEqual([0x1a2b3c4d, 1, 0]);
  expect(text(section.options[0]?.value)).toBe("tungate 1");
  const found = dissect(interfaceBlock("outer", "what is on the wire", 96), 8);
  expect([found.view.getUint16(8, true), found.view.getUint32(12, true)]).toEqual([101, 96]);
  expect(found.options.map(({ code, value }) => [code, text(value)])).toEqual([
    [2, "outer"],
    [3, "what is on the wire"],
  ]);
});

test("statistics and secrets are read as they were written", () => {
  const counts = {
    interfaceIndex: 2,
    startedAt: 1.7e15,
    endedAt: 1.8e15,
    received: 12,
    lost: 5,
    delivered: 7,
  };
  const statistics = statisticsBlock(counts);
  expect(dissect(statistics, 12)).toMatchObject({ type: 5, isAtEnd: true, hasEnd: true });
  expect(lostOf({ type: BlockType.STATISTICS, octets: statistics })).toBe(5);
  const secrets = secretsBlock(0x12345678, Uint8Array.of(1, 2, 3, 4, 5));
  expect(secretsOf({ type: BlockType.SECRETS, octets: secrets })).toEqual({
    type: 0x12345678,
    secrets: Uint8Array.of(1, 2, 3, 4, 5),
  });
});

test("a stream is cut into the same blocks wherever its pieces end", () => {
  const blocks = [
    sectionBlock("x"),
    interfaceBlock("a", "b", 0),
    packetBlock({
      interfaceIndex: 0,
      at: 1,
      octets: new Uint8Array(61).fill(7),
      length: 61,
      direction: "outbound",
    }),
    statisticsBlock({ interfaceIndex: 0, startedAt: 0, endedAt: 1, received: 1, lost: 0, delivered: 1 }),
  ];
  const stream = Buffer.concat(blocks);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 8 }), (cuts) => {
      const reader = new PcapngReader();
      const places = [0, ...cuts.toSorted((x, y) => x - y), stream.length];
      const found = places.slice(1).flatMap((end, i) => reader.take(stream.subarray(places[i], end)));
      expect(found.map(({ octets }) => Buffer.from(octets))).toEqual(
        blocks.map((block) => Buffer.from(block)),
      );
      expect(reader.isAtEnd).toBe(true);
    }),
  );
  const wrong = stream.slice();
  wrong.writeUInt32LE(13, 4);
  expect(() => new PcapngReader().take(wrong)).toThrow("13 octets");
});
