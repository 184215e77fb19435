import { expect, test } from "vitest";
import { DurationMs } from "../../../src/base/instant.ts";
import { childChanges } from "../../../src/ike/changes.ts";
import type { AggfragHandling } from "../../../src/policy/data-plane.ts";
import { LAN_A } from "../../sim/ike-world.ts";

const CONSTANT: AggfragHandling = {
  mode: "constant",
  octetsPerSecond: 125_000,
  packetSize: "mtu",
  delay: DurationMs(1),
  mayFragment: true,
  reorderWindow: 3,
  congestion: "off",
};
const withAggfrag = (aggfrag: AggfragHandling | undefined) => ({
  ...LAN_A,
  handling: { ...LAN_A.handling, ...(aggfrag === undefined ? {} : { aggfrag }) },
});

test("[TFS-11] what USE_AGGFRAG agrees on needs a child of its own, the rest a rekey", () => {
  const changes = (old: AggfragHandling | undefined, fresh: AggfragHandling | undefined) =>
    childChanges(withAggfrag(old), withAggfrag(fresh));
  for (const [old, fresh] of [
    [undefined, CONSTANT],
    [CONSTANT, undefined],
    [CONSTANT, { ...CONSTANT, mayFragment: false }],
    [CONSTANT, { ...CONSTANT, congestion: "loss" }],
  ] as const)
    expect(changes(old, fresh).ending).toEqual(["iptfs"]);
  for (const [old, fresh] of [
    [CONSTANT, { ...CONSTANT, octetsPerSecond: 250_000 }],
    [
      { ...CONSTANT, congestion: "loss" },
      { ...CONSTANT, congestion: "ecn" },
    ],
  ] as const) {
    expect(changes(old, fresh).ending).toEqual([]);
    expect(changes(old, fresh).rekeying).toEqual(["tfc"]);
  }
  expect(changes(CONSTANT, CONSTANT)).toEqual({ ending: [], rekeying: [], quiet: [] });
});
