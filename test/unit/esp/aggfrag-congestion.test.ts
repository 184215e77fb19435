/** Reports between two ends: time stamps, delays, round trips (RFC 9347 section 3). */
import { expect, test } from "vitest";
import { AggfragCongestion } from "../../../src/esp/aggfrag-congestion.ts";
import { tcpPacketRate } from "../../../src/esp/tfrc-equation.ts";
import { TfrcSender } from "../../../src/esp/tfrc-sender.ts";
import { type CongestionReport, emptyReport } from "../../../src/wire/esp/aggfrag.ts";
import { seededRandom } from "../dataplane/gateway-fixture.ts";

const PACKET = 1000;
const end = () => new AggfragCongestion({ sender: undefined, old: undefined });

function toldBy(one: AggfragCongestion, now: number, interval = 1): CongestionReport {
  const report = emptyReport();
  one.tell(report, interval, now);
  return report;
}

test("[TFS-17] the round trip is what the path takes, without what the peer waited", () => {
  const [a, b] = [end(), end()];
  b.heard(toldBy(a, 1000), 1, PACKET, 1020);
  const back = toldBy(b, 1070);
  expect(back.echoDelay).toBe(50_000);
  expect(a.rtt).toBe(0);
  a.heard(back, 1, PACKET, 1095);
  expect(a.rtt).toBeCloseTo(45, 6);
  expect(toldBy(a, 1100).rtt).toBe(45_000);
});

test("[TFS-17] it is never shorter than what both ends wait between payloads", () => {
  const [a, b] = [end(), end()];
  b.heard(toldBy(a, 0.5), 1, PACKET, 1);
  a.heard(toldBy(b, 2, 300), 250, PACKET, 3);
  expect(a.rtt).toBe(550);
  b.heard(toldBy(a, 4), 1, PACKET, 5);
  a.heard(toldBy(b, 6, 1), 1, PACKET, 7);
  expect(a.rtt).toBeCloseTo(2, 6);
});

test("[TFS-17] a time stamp that comes again does not count anew", () => {
  const [a, b] = [end(), end()];
  const stamp = toldBy(a, 1000);
  b.heard(stamp, 1, PACKET, 1010);
  b.heard(stamp, 1, PACKET, 1040);
  expect(toldBy(b, 1050).echoDelay).toBe(40_000);
});

test("[TFS-17] time stamps go round, and those that nobody sent, or that waited too long, measure nothing", () => {
  const [a, b] = [end(), end()];
  const wrap = 2 ** 32 / 1000;
  b.heard(toldBy(a, wrap - 5), 1, PACKET, wrap);
  a.heard(toldBy(b, wrap + 5), 1, PACKET, wrap + 10);
  expect(a.rtt).toBeCloseTo(10, 2);
  a.heard({ ...emptyReport(), techo: 123_456_789, echoDelay: 5 }, 1, PACKET, 1000);
  expect(a.rtt).toBeCloseTo(10, 2);
  const late = end();
  late.heard({ ...emptyReport(), techo: 1000, echoDelay: 0x1fffff }, 5, PACKET, 9000);
  expect(late.rtt).toBe(5);
});

test("[TFS-17] only news of what was sent since are a report to go by", () => {
  const sender = new TfrcSender(1e9, 0, PACKET, 0);
  const a = new AggfragCongestion({ sender, old: undefined });
  const b = end();
  b.heard(toldBy(a, 100), 1, PACKET, 110);
  a.heard(toldBy(b, 111), 1, PACKET, 120);
  const { rate } = sender;
  for (let now = 200; now < 2000; now += 10) a.heard(toldBy(b, now - 10), 1, PACKET, now);
  expect(sender.rate).toBe(rate);
  b.heard(toldBy(a, 2000), 1, PACKET, 2010);
  a.heard(toldBy(b, 2011), 1, PACKET, 2020);
  expect(sender.rate).toBeGreaterThan(rate);
});

test("[TFS-18] what was lost is told to the end that sent it", () => {
  const [a, b] = [end(), end()];
  for (let sequence = 1; sequence <= 2000; sequence++) {
    if (sequence % 100 === 0) continue;
    b.heard({ ...toldBy(a, sequence), rtt: 20_000 }, 1, PACKET, sequence + 10);
    b.arrived(sequence, false, false, sequence + 10);
  }
  const report = toldBy(b, 2011);
  expect(report.lossInterval).toBe(100);
  expect(report.isFromMarks).toBe(false);
  a.heard(report, 1, PACKET, 2020);
  expect(a.lossInterval).toBe(100);
});

/** Two ends without packets: what A would send in 60 s, in packets a second of the last 40, over a path that loses by chance. */
function rateWithLoss(seed: number, loss: number, oneWay: number): number {
  const random = seededRandom(seed);
  const sender = new TfrcSender(1e9, 0, PACKET, 0);
  const a = new AggfragCongestion({ sender, old: undefined });
  const b = end();
  const there: { at: number; sequence: number; report: CongestionReport }[] = [];
  const back: { at: number; report: CongestionReport }[] = [];
  let [dueAt, sequence, late] = [0, 0, 0];
  for (let now = 0; now < 60_000; now++) {
    for (; dueAt <= now; dueAt += (1000 * PACKET) / sender.rate) {
      sequence++;
      if (now >= 20_000) late++;
      if (random.fraction() >= loss) there.push({ at: now + oneWay, sequence, report: toldBy(a, now) });
    }
    for (; there[0] !== undefined && there[0].at <= now; there.shift()) {
      b.arrived(there[0].sequence, false, false, now);
      b.heard(there[0].report, 1, PACKET, now);
    }
    back.push({ at: now + oneWay, report: toldBy(b, now) });
    for (; back[0] !== undefined && back[0].at <= now; back.shift()) a.heard(back[0].report, 1, PACKET, now);
    sender.expire(a.rtt, PACKET, now);
  }
  return late / 40;
}

test.each([
  [1, 0.01, 20],
  [2, 0.01, 20],
  [3, 0.002, 20],
  [4, 0.03, 50],
  [5, 0.001, 50],
])("[TFS-18] [TFS-20] seed %i: with a loss of %d on %i ms it sends what TCP would", (seed, loss, oneWay) => {
  // Losses of one round trip are one event, so that there are fewer of those than losses.
  const fair = tcpPacketRate(loss, 2 * oneWay);
  const rate = rateWithLoss(seed * 7919, loss, oneWay);
  expect(rate).toBeGreaterThan(0.7 * fair);
  expect(rate).toBeLessThan(1.9 * fair);
});

test("[TFS-22] a report is owed for what came, a round trip later at most, and once", () => {
  const one = end();
  expect(one.reportAt).toBe(Number.POSITIVE_INFINITY);
  one.owe(100);
  one.owe(110);
  expect(one.reportAt).toBe(120);
  toldBy(one, 115);
  expect(one.reportAt).toBe(Number.POSITIVE_INFINITY);
  one.heard({ ...emptyReport(), rtt: 80_000 }, 0, PACKET, 200);
  one.owe(200);
  expect(one.reportAt).toBe(280);
});
