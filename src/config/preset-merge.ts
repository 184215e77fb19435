/** A connection as the file has it, with the defaults of its preset below. */
import { isMapping, type Preset } from "./preset.ts";
import type { Path } from "./yaml-text.ts";

type Mapping = Readonly<Record<string, unknown>>;

export interface Merged {
  readonly value: Mapping;
  /** Keys that the preset gave, below the connection; what lies below them is its too. */
  readonly given: readonly Path[];
}

/** A value in place of a mapping stands for one of its keys. */
const SHORT_FOR: Readonly<Record<string, string>> = { rekey: "time", tfc: "pad", interface: "name" };
/** What the operator writes in place of what a preset has. */
const IN_PLACE_OF: Readonly<Record<string, readonly string[]>> = {
  esp: ["ah"],
  sa_per: ["dscp_sas"],
  mss: ["iptfs"],
};

/** Whatever the operator wrote wins, key by key. */
export function withPreset(own: Mapping, preset: Preset): Merged {
  const given: Path[] = [];
  const { children: only, ...connection } = preset.connection;
  const merged = below(own, connection, [], given);
  const hasOwn = own["children"] !== undefined || own["manual"] !== undefined;
  const children = hasOwn ? own["children"] : only;
  if (!isMapping(children)) return { value: merged, given };
  if (!hasOwn) given.push(["children"]);
  const entries = Object.entries(children).map(([name, child]) => {
    const path = ["children", name];
    return [name, isMapping(child) || child === null ? below(child ?? {}, preset.child, path, given) : child];
  });
  return {
    value: { ...merged, children: Object.assign(Object.create(null), Object.fromEntries(entries)) },
    given,
  };
}

/**
 * What is written, with defaults below it key by key.
 * @param given - receives the paths of what came from `base`
 */
export function below(own: Mapping, base: Mapping, path: Path, given: Path[]): Mapping {
  const merged: Record<string, unknown> = Object.assign(Object.create(null), own);
  for (const [key, value] of Object.entries(base)) {
    if (IN_PLACE_OF[key]?.some((other) => own[other] !== undefined) === true) continue;
    const written = own[key];
    const short = SHORT_FOR[key];
    if (written === undefined) {
      merged[key] = value;
      given.push([...path, key]);
    } else if (isMapping(value) && isMapping(written)) {
      merged[key] = below(written, value, [...path, key], given);
    } else if (isMapping(value) && short !== undefined && written !== null && !Array.isArray(written)) {
      merged[key] = below({ [short]: written }, value, [...path, key], given);
    }
  }
  return merged;
}
