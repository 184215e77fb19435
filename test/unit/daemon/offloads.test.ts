import { expect, test } from "vitest";
import { offloadStates, sumTransfers } from "../../../src/daemon/offloads.ts";
import type { PacketIoCounters } from "../../../src/io/native-packet-io.ts";

const WANTED = { tso: true, uso: true, coalescing: true, udpSegment: true, udpGro: true };
const THERE = { tso: true, uso: true, udpSegment: true, udpGro: true };

test("an offload is on unless it is switched off, missing or refused", () => {
  expect(offloadStates(WANTED, THERE, {})).toEqual({
    tso: "on",
    uso: "on",
    coalescing: "on",
    udp_segment: "on",
    udp_gro: "on",
  });
  expect(offloadStates({ ...WANTED, udpGro: false }, { ...THERE, udpGro: false }, {})).toMatchObject({
    udp_gro: "off",
  });
  expect(offloadStates(WANTED, { ...THERE, tso: false }, {})).toMatchObject({ tso: "missing" });
});

test("what was refused is told apart by its own counter", () => {
  const states = (transfers: Record<string, number>) => {
    const { coalescing, udp_segment: udpSegment } = offloadStates(WANTED, THERE, transfers);
    return [coalescing, udpSegment];
  };
  expect(states({ offloadRefusals: 1, sendRunRefusals: 1 })).toEqual(["on", "refused"]);
  expect(states({ offloadRefusals: 1, sendRunRefusals: 0 })).toEqual(["refused", "on"]);
  expect(states({ offloadRefusals: 3, sendRunRefusals: 2 })).toEqual(["refused", "refused"]);
  // A kernel that knows no UDP superpackets still takes those of TCP.
  expect(states({ offloadRefusals: 1, udpRunRefusals: 1 })).toEqual(["on", "on"]);
  expect(offloadStates(WANTED, THERE, { offloadRefusals: 1, udpRunRefusals: 1 })["uso"]).toBe("refused");
  expect(offloadStates(WANTED, { ...THERE, uso: false }, {})["uso"]).toBe("missing");
});

test("lanes' counters add up, but numbers of errors do not", () => {
  const of = (sendErrors: number, lastSendErrno: number) =>
    ({ sendErrors, lastSendErrno }) as PacketIoCounters;
  expect(sumTransfers([of(2, 90), of(3, 105)])).toEqual({ sendErrors: 5, lastSendErrno: 105 });
  expect(sumTransfers([])).toEqual({});
});
