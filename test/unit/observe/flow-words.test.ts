import { expect, test } from "vitest";
import { flowText } from "../../../src/observe/flow-words.ts";
import { TFC_PAD_TO_MTU } from "../../../src/policy/sa-table.ts";

const NONE = {
  padTo: 0,
  dummiesPerSecond: 0,
  aggfrag: "off",
  octetsPerSecond: 0,
  mayFragment: true,
} as const;

test("what hides the traffic is told in one phrase, and nothing is not told", () => {
  expect(flowText(NONE)).toBeUndefined();
  expect(flowText({ ...NONE, padTo: TFC_PAD_TO_MTU })).toBe("padded to the path MTU");
  expect(flowText({ ...NONE, padTo: 600, dummiesPerSecond: 20 })).toBe(
    "padded to 600 octets, dummies up to 20 packets/s",
  );
  expect(flowText({ ...NONE, aggfrag: "aggregate", mayFragment: false })).toBe("AGGFRAG, whole packets");
  const constant = { ...NONE, aggfrag: "constant" } as const;
  expect(flowText({ ...constant, octetsPerSecond: 1_250_000 })).toBe("AGGFRAG at a constant 10 Mbit/s");
  expect(flowText({ ...constant, octetsPerSecond: 62_500 })).toBe("AGGFRAG at a constant 500 kbit/s");
  expect(flowText({ ...constant, octetsPerSecond: 187_500_000 })).toBe("AGGFRAG at a constant 1.5 Gbit/s");
});

test("how far a constant rate gave way is told, and what it goes by", () => {
  const flow = { ...NONE, aggfrag: "constant", octetsPerSecond: 1_250_000 } as const;
  const text = (octetsPerSecond: number, rtt: number, lossInterval: number) =>
    flowText({ ...flow, congestion: { octetsPerSecond, rtt, lossInterval } });
  expect(text(4000, 0, 0)).toBe(
    "AGGFRAG at a constant 10 Mbit/s, now 32 kbit/s, as the peer has reported nothing yet",
  );
  expect(text(1_250_000, 4.21, 0)).toBe(
    "AGGFRAG at a constant 10 Mbit/s, now all of it (no loss, round trip 4.2 ms)",
  );
  expect(text(250_000, 41.6, 120)).toBe(
    "AGGFRAG at a constant 10 Mbit/s, now 2 Mbit/s (one loss in 120 packets, round trip 42 ms)",
  );
});
