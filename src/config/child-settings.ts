/** Settings that children have in common, negotiated and manual ones alike. */

import { formatAddressRange } from "../base/address-range.ts";
import { hours } from "../base/instant.ts";
import { compareIpAddress, familyOf, type IpAddress } from "../base/ip-address.ts";
import type { Rekey } from "../policy/connection.ts";
import type { SaHandling, SaLifetime } from "../policy/data-plane.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { ANY_PROTOCOL, type SelectorPair, type TrafficSelector } from "../policy/traffic-selector.ts";
import type { Findings } from "./findings.ts";
import { flowHandling } from "./flow-confidentiality.ts";
import type { ChildInput } from "./schema.ts";
import type { Path } from "./yaml-text.ts";

export const DEFAULT_CHILD_REKEY: Rekey = { time: hours(1), jitter: 0.2 };
/** Packets that the anti-replay window of a negotiated SA spans. */
export const DEFAULT_REPLAY_WINDOW = 4096;
const DEFAULT_HANDLING = { dscp: "copy", ecn: "copy", df: "copy" } as const;
/** What a hard limit in octets or packets has over the soft one that asks for the rekey. */
const HARD_LIMIT_FACTOR = 1.25;

/** Reports selectors that no packet can match, or that one SA has no room for. */
export function checkSelectors(selectors: SelectorPair, path: Path, findings: Findings): void {
  const families = (side: SelectorPair["local"]) =>
    new Set(side.map(({ addresses }) => familyOf(addresses.start)));
  const local = families(selectors.local);
  const remote = families(selectors.remote);
  for (const [side, own, other] of [
    ["local", local, remote],
    ["remote", remote, local],
  ] as const)
    for (const family of own)
      if (!other.has(family))
        findings.refuse(
          "CONFIG_SELECTOR",
          [...path, side],
          `has IPv${family}, and the other side has none; no packet is from one family to the other`,
        );
  const protocols = (side: SelectorPair["local"]) => side.map(({ protocol }) => protocol);
  const canMatch = protocols(selectors.local).some((a) =>
    protocols(selectors.remote).some((b) => a === b || a === ANY_PROTOCOL || b === ANY_PROTOCOL),
  );
  if (!canMatch)
    findings.refuse(
      "CONFIG_SELECTOR",
      [...path, "remote"],
      "names other protocols than local; no packet matches both sides",
    );
}

/**
 * Transport mode protects what the two ends say to each other: it needs addresses of our own that are known, and selectors
 * that name no network (RFC 4301 section 4.1).
 */
export function checkTransport(
  { mode, local, remote, tfc, iptfs }: Pick<ChildInput, "mode" | "local" | "remote" | "tfc" | "iptfs">,
  listen: readonly IpAddress[],
  path: Path,
  findings: Findings,
): void {
  if (mode !== "transport") return;
  for (const [key, given] of [
    ["tfc", tfc],
    ["iptfs", iptfs],
  ] as const)
    if (given !== undefined)
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, key],
        "needs tunnel mode: only an IP packet tells its own length",
      );
  if (listen.length === 0)
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, "mode"],
      "transport mode needs to know our own addresses; list them in gateway.listen",
    );
  const isOurs = ({ addresses }: TrafficSelector) =>
    listen.some((own) => compareIpAddress(own, addresses.start) === 0);
  for (const [side, selectors] of [
    ["local", local],
    ["remote", remote],
  ] as const)
    for (const { addresses } of selectors)
      if (compareIpAddress(addresses.start, addresses.end) !== 0)
        findings.refuse(
          "CONFIG_SELECTOR",
          [...path, side],
          `${formatAddressRange(addresses)} is no single address; transport mode is between the two outer addresses alone`,
        );
  if (listen.length > 0 && !local.every(isOurs))
    findings.refuse(
      "CONFIG_SELECTOR",
      [...path, "local"],
      "names an address that gateway.listen does not have; transport mode is between the two outer addresses alone",
    );
}

export function handlingOf(
  input: Pick<ChildInput, "replay_window" | "dscp" | "ecn" | "df" | "mtu" | "mss" | "tfc" | "iptfs" | "mode">,
  replayWindow: number,
  path: Path,
  findings: Findings,
): SaHandling {
  return {
    replayWindow: input.replay_window ?? replayWindow,
    dscp: input.dscp ?? DEFAULT_HANDLING.dscp,
    ecn: input.ecn ?? DEFAULT_HANDLING.ecn,
    df: input.df ?? DEFAULT_HANDLING.df,
    ...(input.mtu === undefined || input.mtu === "auto" ? {} : { innerMtu: input.mtu }),
    ...(input.mss === undefined || input.mss === "auto" ? {} : { mss: input.mss }),
    ...flowHandling(input, path, findings),
    ...(input.mode === "transport" ? { mode: "transport" } : {}),
  };
}

/** The proposals given, the word default among them; the default ones when there are none. */
export function suites(
  given: readonly (ProposalSuite | "default")[] | undefined,
  usual: readonly ProposalSuite[],
): readonly ProposalSuite[] {
  return (given ?? ["default"]).flatMap((suite) => (suite === "default" ? usual : [suite]));
}

export function rekeyOf(
  given: { readonly time?: Rekey["time"] | undefined; readonly jitter?: number | undefined } | undefined,
  usual: Rekey,
): Rekey {
  return { time: given?.time ?? usual.time, jitter: given?.jitter ?? usual.jitter };
}

export function lifetimeOf(rekey: ChildInput["rekey"]): SaLifetime {
  const hard = (soft: number) => Math.ceil(soft * HARD_LIMIT_FACTOR);
  const { bytes, packets } = rekey ?? {};
  return {
    ...(bytes === undefined ? {} : { softOctets: bytes, hardOctets: hard(bytes) }),
    ...(packets === undefined ? {} : { softPackets: packets, hardPackets: hard(packets) }),
  };
}
