/** Traffic flow confidentiality of an SA in one phrase. */
import type { SaFlow } from "../dataplane/data-plane.ts";
import { TFC_PAD_TO_MTU } from "../policy/sa-table.ts";

/** `undefined` where nothing is done. */
export function flowText(flow: SaFlow): string | undefined {
  const { padTo, dummiesPerSecond, aggfrag, octetsPerSecond, mayFragment } = flow;
  const pieces = mayFragment ? "" : ", whole packets";
  if (aggfrag === "constant") return `AGGFRAG at a constant ${bitsText(octetsPerSecond * 8)}${pieces}`;
  if (aggfrag === "aggregate") return `AGGFRAG${pieces}`;
  const parts: string[] = [];
  if (padTo !== 0)
    parts.push(padTo === TFC_PAD_TO_MTU ? "padded to the path MTU" : `padded to ${padTo} octets`);
  if (dummiesPerSecond > 0) parts.push(`dummies up to ${dummiesPerSecond} packets/s`);
  return parts.length === 0 ? undefined : parts.join(", ");
}

function bitsText(bitsPerSecond: number): string {
  for (const [unit, size] of [
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
  ] as const)
    if (bitsPerSecond >= size) return `${Number((bitsPerSecond / size).toPrecision(3))} ${unit}`;
  return `${Number((bitsPerSecond / 1e3).toPrecision(3))} kbit/s`;
}
