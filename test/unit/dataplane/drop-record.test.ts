import fc from "fast-check";
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { formatIpAddress } from "../../../src/base/ip-address.ts";
import { DATAGRAM_META_STRIDE } from "../../../src/base/packet-batch.ts";
import { Drop } from "../../../src/dataplane/drop-reason.ts";
import {
  DROP_DATAGRAMS,
  DROP_FLOWS,
  DROP_RECORD_OCTETS,
  DROPS_PER_TURN_MAX,
  DropRecord,
  readDropRecord,
} from "../../../src/dataplane/drop-record.ts";
import { endpoint, type Gateway, makeGateway, makePair, selectors } from "./gateway-fixture.ts";
import { packet } from "./packets.ts";
import { PlainSender } from "./plain-sender.ts";

const HERE = { source: "10.1.0.5", destination: "10.2.0.9" };

function leave(gateway: Gateway, bytes: Uint8Array, at = 0): void {
  gateway.io.fromHost[0]!.push(bytes);
  gateway.turn(at);
}

test("what no policy matches is remembered by its flow: when first, when last, how often", () => {
  const gateway = makeGateway();
  gateway.setSpd([]);
  const bytes = packet({ ...HERE, protocol: 17, ports: [1111, 53] });
  leave(gateway, bytes, 100);
  leave(gateway, bytes, 900);
  leave(gateway, packet({ ...HERE, protocol: 17, ports: [1112, 53] }), 950);
  const traces = gateway.lastDrops().toSorted((a, b) => a.lastAt - b.lastAt);
  expect(traces).toMatchObject([
    { kind: "outbound", reason: "noPolicy", firstAt: 100, lastAt: 900, packets: 2, sourcePort: 1111 },
    { kind: "outbound", reason: "noPolicy", firstAt: 950, lastAt: 950, packets: 1, sourcePort: 1112 },
  ]);
  expect(traces[0]).toMatchObject({ protocol: 17, destinationPort: 53, length: bytes.length });
  expect(formatIpAddress(traces[0]!.source)).toBe("10.1.0.5");
  expect(formatIpAddress(traces[0]!.destination)).toBe("10.2.0.9");
});

test("another reason for the same flow begins anew", () => {
  const gateway = makeGateway();
  const bytes = packet({ ...HERE, protocol: 6, ports: [1, 2] });
  gateway.setSpd([]);
  leave(gateway, bytes, 5);
  gateway.setSpd([{ action: "discard", selectors: selectors("10.1.0.0/16", "10.2.0.0/16") }]);
  leave(gateway, bytes, 7);
  expect(gateway.lastDrops()).toMatchObject([{ reason: "policyDiscard", firstAt: 7, lastAt: 7, packets: 1 }]);
});

test("a packet outside the selectors of its SA is remembered with the SA that carried it", () => {
  const { b, spis } = makePair();
  const sender = new PlainSender(spis.bInbound);
  b.io.arrive({
    local: endpoint("198.51.100.2"),
    remote: endpoint("192.0.2.1"),
    tos: 0,
    bytes: sender.seal(packet({ source: "10.1.0.5", destination: "10.9.0.1", protocol: 6 }), {}),
  });
  b.turn(30);
  const [trace, ...more] = b.lastDrops();
  expect(more).toEqual([]);
  expect(trace).toMatchObject({
    kind: "inbound",
    reason: "selectorMismatch",
    spi: spis.bInbound,
    lastAt: 30,
  });
  expect(formatIpAddress(trace!.destination)).toBe("10.9.0.1");
});

test("an outer packet is remembered by its SPI with an SA, and by its sender without one", () => {
  const gateway = makeGateway();
  const esp = (spi: number) => Uint8Array.of(0, 0, spi >>> 8, spi & 0xff, ...new Array<number>(60).fill(0));
  for (const spi of [0x1000, 0x2000, 0x3000])
    gateway.io.arrive({
      local: endpoint("192.0.2.1"),
      remote: endpoint("203.0.113.7"),
      tos: 0,
      bytes: esp(spi),
    });
  gateway.turn(40);
  expect(gateway.lastDrops()).toMatchObject([
    { kind: "datagram", reason: "unknownSpi", packets: 3, protocol: 50, spi: 0x3000 },
  ]);
  expect(formatIpAddress(gateway.lastDrops()[0]!.source)).toBe("203.0.113.7");
});

test("a turn writes a limited number of drops down, and a flood only overwrites", () => {
  const memory = new ArrayBuffer(DROP_RECORD_OCTETS);
  const record = new DropRecord(memory);
  record.begin(Instant(1));
  for (let i = 0; i < 2 * DROPS_PER_TURN_MAX; i++) {
    const bytes = packet({ ...HERE, protocol: 17, ports: [i, 53] });
    record.noteOutbound(Drop.noPolicy, 1, bytes, 0, bytes.length);
  }
  const ports = readDropRecord(memory).map(({ sourcePort }) => sourcePort!);
  expect(ports.length).toBeGreaterThan(DROPS_PER_TURN_MAX / 2);
  expect(Math.max(...ports)).toBeLessThan(DROPS_PER_TURN_MAX);
  for (let turn = 0; turn < 200; turn++) {
    record.begin(Instant(2 + turn));
    for (let i = 0; i < DROPS_PER_TURN_MAX; i++) {
      const bytes = packet({ ...HERE, protocol: 17, ports: [turn * 64 + i, 53] });
      record.noteOutbound(Drop.noPolicy, 1, bytes, 0, bytes.length);
    }
  }
  expect(readDropRecord(memory).length).toBeLessThanOrEqual(DROP_FLOWS);
  expect(readDropRecord(memory).length).toBeGreaterThan(DROP_FLOWS * 0.9);
});

test("strangers' ESP does not push the flows out", () => {
  const memory = new ArrayBuffer(DROP_RECORD_OCTETS);
  const record = new DropRecord(memory);
  record.begin(Instant(1));
  const bytes = packet({ ...HERE, protocol: 17, ports: [7, 53] });
  record.noteOutbound(Drop.noPolicy, 1, bytes, 0, bytes.length);
  const meta = new Uint8Array(DATAGRAM_META_STRIDE);
  const view = new DataView(meta.buffer);
  for (let i = 0; i < 10_000; i++) {
    record.begin(Instant(2));
    view.setUint32(0, i);
    record.noteDatagram(Drop.unknownSpi, 50, 1000 + i, false, meta, 0, 100);
  }
  const traces = readDropRecord(memory);
  expect(traces.filter(({ kind }) => kind === "outbound")).toHaveLength(1);
  expect(traces.length).toBeGreaterThan(DROP_DATAGRAMS * 0.9);
});

test("the newest drop of a flow is always there, whatever came before", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(65_535), fc.nat(65_535)), { minLength: 1, maxLength: 300 }),
      (flows) => {
        const memory = new ArrayBuffer(DROP_RECORD_OCTETS);
        const record = new DropRecord(memory);
        for (const [i, [sourcePort, destinationPort]] of flows.entries()) {
          record.begin(Instant(i));
          const bytes = packet({ ...HERE, protocol: 6, ports: [sourcePort, destinationPort] });
          record.noteOutbound(Drop.tooBig, 1, bytes, 0, bytes.length);
        }
        const [sourcePort, destinationPort] = flows.at(-1)!;
        const traces = readDropRecord(memory).filter(({ lastAt }) => lastAt === flows.length - 1);
        expect(traces).toMatchObject([{ reason: "tooBig", sourcePort, destinationPort }]);
      },
    ),
    { numRuns: 50 },
  );
});
