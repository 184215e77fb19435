/** Offloads: each that is not used costs a large part of the speed. */
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, ok, orOk, warning } from "../finding.ts";

const REASONS = {
  off: undefined,
  missing: [
    "is not in this kernel",
    "a newer kernel has it: uso needs Linux 6.2, the others are older than 5.0",
  ],
  refused: [
    "was refused by a device and is not used any more",
    "look at ethtool -k of the outer device (tx-checksumming, tx-udp-segmentation), and at its driver; a restart tries again",
  ],
} as const;

export function checkOffloads({ daemon }: Pick<Facts, "daemon">): readonly Finding[] {
  if (daemon.kind !== "running") return [notChecked("only a running gateway knows what its devices take")];
  const states = Object.entries(daemon.status.offloads);
  const findings = states.flatMap(([name, state]): Finding[] => {
    const reason = state === "on" ? undefined : REASONS[state];
    return reason === undefined ? [] : [warning(`the offload ${name} ${reason[0]}`, reason[1])];
  });
  const off = states.filter(([, state]) => state === "off").map(([name]) => name);
  if (findings.length === 0 && off.length > 0)
    return [ok(`offloads are used, save those that the configuration switches off (${off.join(", ")})`)];
  return orOk(findings, "all offloads are used");
}
