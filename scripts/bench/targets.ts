/** What ours has to reach, and whether it does. */
import { NATIVE_LOOP } from "./peer-native-loop.ts";
import { OURS } from "./peer-ours.ts";
import { STRONGSWAN } from "./peer-strongswan.ts";
import { middleOf, type Results, ratioOf } from "./results.ts";
import type { Wire } from "./world.ts";

const RESIDENT_MB_MAX = 150;

export interface Verdict {
  readonly title: string;
  readonly wire: Wire;
  /** `at least 3` or `at most 150 MB`. */
  readonly wanted: string;
  /** Absent: one of the two was not measured. */
  readonly found?: string;
  /** The same of the native loop in place of ours: what moving and encrypting alone reach. Absent: not measured, or no ratio. */
  readonly loop?: string;
  readonly verdict: "met" | "not met" | "not measured";
}

export function verdictsOf(results: Results): Verdict[] {
  return results.wires.flatMap((wire) => [...ratios(results, wire), ...limits(results, wire)]);
}

interface Ratio {
  readonly title: string;
  readonly key: string;
  readonly peer: string;
  readonly wires: readonly Wire[];
  readonly bound: number;
  /** Of ours to the peer's. */
  readonly isAtLeast: boolean;
}

const BOTH: readonly Wire[] = ["plain", "offloads"];

function wantedRatios({ wireguardWithOffloads: recent, wireguardWithout: old }: Results["roles"]): Ratio[] {
  const least = (title: string, key: string, peer: string, bound: number, wires = BOTH): Ratio => ({
    title: `${title}, times that of ${peer}`,
    key,
    peer,
    wires,
    bound,
    isAtLeast: true,
  });
  const most = (title: string, key: string, peer: string, bound: number, wires = BOTH): Ratio => ({
    ...least(title, key, peer, bound, wires),
    isAtLeast: false,
  });
  const wireguard = recent ?? old;
  const LATENCIES = [
    ["warmP50", "round trip idle, p50"],
    ["warmP99", "round trip idle, p99"],
    ["loadedP50", "round trip under load, p50"],
    ["loadedP99", "round trip under load, p99"],
  ] as const;
  return [
    ...(recent === undefined
      ? []
      : [
          least("TCP throughput", "tcp", recent, 3, ["offloads"]),
          least("TCP throughput", "tcp", recent, 2, ["plain"]),
        ]),
    ...(old === undefined ? [] : [least("TCP throughput", "tcp", old, 15, ["offloads"])]),
    least("TCP throughput", "tcp", STRONGSWAN, 15, ["offloads"]),
    least("TCP throughput", "tcp", NATIVE_LOOP, 0.9),
    ...(wireguard === undefined
      ? []
      : [
          // What does not depend on the wire is measured on one.
          least("UDP packets of 64 octets", "udp64", wireguard, 2, ["plain"]),
          ...LATENCIES.map(([key, title]) => most(title, key, wireguard, 1)),
          most("CPU seconds per GB", "gatewaySecondsPerGb", wireguard, 1 / 3),
        ]),
  ];
}

function ratios(results: Results, wire: Wire): Verdict[] {
  return wantedRatios(results.roles)
    .filter(({ wires }) => wires.includes(wire))
    .map(({ title, key, peer, bound, isAtLeast }) => {
      const found = ratioOf(results, wire, key, [OURS, peer]);
      const isMet = found !== undefined && (isAtLeast ? found >= bound : found <= bound);
      const wanted = `at ${isAtLeast ? "least" : "most"} ${shown(bound)}`;
      const loop = peer === NATIVE_LOOP ? undefined : ratioOf(results, wire, key, [NATIVE_LOOP, peer]);
      return {
        ...verdict(title, wire, wanted, found === undefined ? undefined : shown(found), isMet),
        ...(loop === undefined ? {} : { loop: shown(loop) }),
      };
    });
}

function limits(results: Results, wire: Wire): Verdict[] {
  const resident = middleOf(results, wire, OURS, "resident");
  const collections = middleOf(results, wire, OURS, "minorCollections");
  const parts = [
    ["lossAtHalf", "packets lost at half the rate that it carries"],
    ["lateAtHalf", "packets out of order at half the rate that it carries"],
  ] as const;
  const megabytes = resident === undefined ? undefined : resident / 1e6;
  return [
    verdict(
      "resident memory of a gateway under load",
      wire,
      `at most ${RESIDENT_MB_MAX} MB`,
      megabytes === undefined ? undefined : `${megabytes.toFixed(0)} MB`,
      megabytes !== undefined && megabytes <= RESIDENT_MB_MAX,
    ),
    // Looked at on one wire only.
    ...parts.flatMap(([key, title]) => {
      const part = middleOf(results, wire, OURS, key);
      return part === undefined
        ? []
        : [verdict(title, wire, "none", `${Math.round(part * 1e6)} ppm`, part === 0)];
    }),
    ...(collections === undefined
      ? []
      : [
          verdict(
            "minor collections of lanes in 10 s under load",
            wire,
            "none",
            `${collections}`,
            collections === 0,
          ),
        ]),
  ];
}

const shown = (value: number): string => value.toFixed(2);

function verdict(
  title: string,
  wire: Wire,
  wanted: string,
  found: string | undefined,
  isMet: boolean,
): Verdict {
  if (found === undefined) return { title, wire, wanted, verdict: "not measured" };
  return { title, wire, wanted, found, verdict: isMet ? "met" : "not met" };
}

/** One row per target. */
export function verdictRows(results: Results): string[][] {
  return [
    ["target", "wire", "wanted", "found", "", "native loop"],
    ...verdictsOf(results).map(({ title, wire, wanted, found, verdict: word, loop }) => [
      title,
      wire,
      wanted,
      found ?? "-",
      word,
      loop ?? "-",
    ]),
  ];
}
