/** What a run of the bench found, and the figures that are computed from it. */
import type { Sample } from "./metrics.ts";
import { TCP_KEYS } from "./metrics.ts";
import { median } from "./statistics.ts";
import type { Wire } from "./world.ts";

export interface Results {
  readonly environment: Readonly<Record<string, string | number>>;
  readonly options: { readonly rounds: number; readonly seconds: number; readonly cipher: string };
  readonly wires: readonly Wire[];
  /** In the order of the columns. */
  readonly peers: readonly string[];
  /** Peers that were asked for and are not measured, with what is missing. */
  readonly absent: readonly { readonly name: string; readonly why: string }[];
  /** Names of the peers that targets speak of, where they were measured. */
  readonly roles: { readonly wireguardWithOffloads?: string; readonly wireguardWithout?: string };
  /** By peer one sample per round; `null` where the round failed. */
  readonly samples: Readonly<Record<string, Readonly<Record<string, readonly (Sample | null)[]>>>>;
  readonly remarks: readonly string[];
}

/** A value of one round; the mean of all TCP transfers is called `tcp`. */
function figureOf(sample: Sample | null | undefined, key: string): number | undefined {
  if (sample === null || sample === undefined) return undefined;
  if (key !== "tcp") return sample[key];
  const values = TCP_KEYS.map((one) => sample[one]);
  return values.some((value) => value === undefined)
    ? undefined
    : values.reduce<number>((sum, value) => sum + value! / values.length, 0);
}

const isThere = (value: number | undefined): value is number => value !== undefined;

/** Median over the rounds. */
export function middleOf(results: Results, wire: Wire, peer: string, key: string): number | undefined {
  return median((results.samples[wire]?.[peer] ?? []).map((sample) => figureOf(sample, key)).filter(isThere));
}

/** Median over the rounds of one peer's value divided by another's in the same round. */
export function ratioOf(
  results: Results,
  wire: Wire,
  key: string,
  [over, under]: readonly [over: string, under: string],
): number | undefined {
  const own = results.samples[wire]?.[over] ?? [];
  const other = results.samples[wire]?.[under] ?? [];
  return median(
    own
      .map((sample, round) => {
        const [value, base] = [figureOf(sample, key), figureOf(other[round], key)];
        return value === undefined || base === undefined || base === 0 ? undefined : value / base;
      })
      .filter(isThere),
  );
}
