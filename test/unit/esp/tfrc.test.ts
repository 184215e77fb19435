/** The equation of TFRC, and the rate that a sender makes of reports (RFC 5348 sections 3 and 4). */
import fc from "fast-check";
import { expect, test } from "vitest";
import { lossRateOf, tcpPacketRate } from "../../../src/esp/tfrc-equation.ts";
import { TfrcSender } from "../../../src/esp/tfrc-sender.ts";

test("the equation gives what one computes by hand", () => {
  // p = 0.01, R = 0.1 s: 0.1 * sqrt(0.02 / 3) + 0.4 * 3 * sqrt(0.03 / 8) * 0.01 * 1.0032
  expect(tcpPacketRate(0.01, 100)).toBeCloseTo(1 / (0.00816497 + 0.00073721), 1);
  // Everything is lost: the timeouts alone.
  expect(tcpPacketRate(1, 1000)).toBeCloseTo(1 / (0.8164966 + 12 * 0.6123724 * 33), 6);
  expect(tcpPacketRate(0.01, 200)).toBeCloseTo(tcpPacketRate(0.01, 100) / 2, 6);
});

test("the loss event rate of a rate of packets is the equation's inverse", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.000001, max: 1, noNaN: true }),
      fc.double({ min: 0.1, max: 4000, noNaN: true }),
      (p, rtt) => {
        expect(lossRateOf(tcpPacketRate(p, rtt), rtt) / p).toBeCloseTo(1, 3);
      },
    ),
  );
});

const PACKET = 1000;
const MAX = 10_000_000;
const start = (resumed = 0) => new TfrcSender(MAX, resumed, PACKET, 0);

test("[TFS-20] a sender that knows nothing sends a first window in a second, then in a round trip, then doubles", () => {
  const sender = start();
  expect(sender.rate).toBe(4000);
  sender.report(100, 0, PACKET, 300);
  expect(sender.rate).toBe(40_000);
  sender.report(100, 0, PACKET, 350);
  expect(sender.rate).toBe(80_000);
  for (const now of [355, 370, 399]) sender.report(100, 0, PACKET, now);
  expect(sender.rate).toBe(80_000);
  sender.report(100, 0, PACKET, 400);
  expect(sender.rate).toBe(160_000);
  for (let now = 500; now < 2000; now += 100) sender.report(100, 0, PACKET, now);
  expect(sender.rate).toBe(MAX);
});

test("[TFS-20] loss brings the rate to the equation's at once, and less of it back no faster than by doubling", () => {
  const sender = start(MAX);
  sender.report(100, 100, PACKET, 10);
  expect(sender.rate).toBeCloseTo(tcpPacketRate(0.01, 100) * PACKET, 6);
  const before = sender.rate;
  sender.report(100, 100_000, PACKET, 200);
  expect(sender.rate).toBeCloseTo(2 * before, 6);
  for (let now = 300; now < 1500; now += 100) sender.report(100, 100_000, PACKET, now);
  expect(sender.rate).toBeCloseTo(tcpPacketRate(0.00001, 100) * PACKET, 6);
});

test("[TFS-20] without reports the rate is halved again and again, down to a packet a second", () => {
  const sender = start(MAX);
  sender.expire(100, PACKET, 1999);
  expect(sender.rate).toBe(MAX);
  sender.expire(100, PACKET, 2000);
  expect(sender.rate).toBe(MAX / 2);
  sender.expire(100, PACKET, 2399);
  expect(sender.rate).toBe(MAX / 2);
  sender.expire(100, PACKET, 2800);
  expect(sender.rate).toBe(MAX / 8);
  sender.expire(100, PACKET, 600_000);
  expect(sender.rate).toBe(PACKET);
  sender.report(100, 0, PACKET, 600_010);
  expect(sender.rate).toBe(2 * PACKET);
});

test("[TFS-20] on a short path reports may be late by what a busy machine takes", () => {
  const sender = start(MAX);
  sender.report(0.5, 0, PACKET, 100);
  sender.expire(0.5, PACKET, 299);
  expect(sender.rate).toBe(MAX);
  sender.expire(0.5, PACKET, 300);
  expect(sender.rate).toBe(MAX / 2);
});

test("[TFS-20] whatever a peer reports, the rate stays between a packet a second and the configured one", () => {
  const reports = fc.array(
    fc.tuple(fc.double({ min: 0.1, max: 5000, noNaN: true }), fc.nat(0xffffffff), fc.nat(5000)),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(reports, fc.integer({ min: 64, max: 9000 }), (list, packet) => {
      const sender = new TfrcSender(1_000_000, 0, packet, 0);
      let now = 0;
      for (const [rtt, lossInterval, pause] of list) {
        now += pause;
        sender.expire(rtt, packet, now);
        sender.report(rtt, lossInterval, packet, now);
        expect(sender.rate).toBeGreaterThanOrEqual(packet);
        expect(sender.rate).toBeLessThanOrEqual(1_000_000);
      }
    }),
  );
});

test("a configured rate of less than a packet a second is kept", () => {
  const sender = new TfrcSender(500, 0, PACKET, 0);
  expect(sender.rate).toBe(500);
  sender.expire(100, PACKET, 60_000);
  expect(sender.rate).toBe(500);
});
