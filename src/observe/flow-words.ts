/** Traffic flow confidentiality of an SA in one phrase. */
import type { SaFlow } from "../dataplane/data-plane.ts";
import { TFC_PAD_TO_MTU } from "../policy/sa-table.ts";

/** `undefined` where nothing is done. */
export function flowText(flow: SaFlow): string | undefined {
  const { padTo, dummiesPerSecond, aggfrag, octetsPerSecond, mayFragment } = flow;
  const pieces = mayFragment ? "" : ", whole packets";
  if (aggfrag === "constant")
    return `AGGFRAG at a constant ${bitsText(octetsPerSecond * 8)}${pieces}${congestionText(flow)}`;
  if (aggfrag === "aggregate") return `AGGFRAG${pieces}`;
  const parts: string[] = [];
  if (padTo !== 0)
    parts.push(padTo === TFC_PAD_TO_MTU ? "padded to the path MTU" : `padded to ${padTo} octets`);
  if (dummiesPerSecond > 0) parts.push(`dummies up to ${dummiesPerSecond} packets/s`);
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** How far the rate has given way, and why. */
function congestionText({ congestion, octetsPerSecond }: SaFlow): string {
  if (congestion === undefined) return "";
  const { rtt, lossInterval } = congestion;
  if (rtt === 0)
    return `, now ${bitsText(congestion.octetsPerSecond * 8)}, as the peer has reported nothing yet`;
  const loss = lossInterval === 0 ? "no loss" : `one loss in ${lossInterval} packets`;
  const now =
    congestion.octetsPerSecond < octetsPerSecond ? bitsText(congestion.octetsPerSecond * 8) : "all of it";
  return `, now ${now} (${loss}, round trip ${rtt < 10 ? rtt.toPrecision(2) : Math.round(rtt)} ms)`;
}

function bitsText(bitsPerSecond: number): string {
  for (const [unit, size] of [
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
  ] as const)
    if (bitsPerSecond >= size) return `${Number((bitsPerSecond / size).toPrecision(3))} ${unit}`;
  return `${Number((bitsPerSecond / 1e3).toPrecision(3))} kbit/s`;
}
