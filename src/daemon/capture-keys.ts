/** Keys for a capture whose client asked for them and may have them: each once, as soon as it is there. */
import { toHex } from "../base/bytes.ts";
import type { CaptureKey } from "../control/capture-schema.ts";
import type { ExportedIkeKeys } from "../ike/key-export.ts";
import type { KeptKey, KeptKeys } from "./kept-keys.ts";

/** There only where the configuration allows it. */
export interface KeySource {
  /** Goes up when child SAs get keys. */
  readonly changes: () => number;
  readonly esp: () => readonly KeptKey[];
  readonly ike: () => readonly ExportedIkeKeys[];
}

/** @param kept - absent: keys may not be given out, those of IKE SAs neither */
export function keySource(kept: KeptKeys | undefined, ike: KeySource["ike"]): KeySource | undefined {
  return kept && { changes: () => kept.changes, esp: () => kept.all(), ike };
}

/** Whether keys are of what is captured. */
export interface KeyFilter {
  /** `undefined`: it is not known yet whose IKE SA it is. */
  readonly connection: (name: string | undefined) => boolean;
  readonly policy: (index: number) => boolean;
}

export class CaptureKeys {
  readonly #source: KeySource;
  readonly #isWanted: KeyFilter;
  readonly #told = new Set<string>();
  #changes = -1;
  /** An IKE message has passed: IKE SAs may be others. */
  isStale = true;

  constructor(source: KeySource, isWanted: KeyFilter) {
    this.#source = source;
    this.#isWanted = isWanted;
  }

  /** Those that have not been told yet. */
  take(): readonly CaptureKey[] {
    const changes = this.#source.changes();
    if (!this.isStale && changes === this.#changes) return [];
    this.#changes = changes;
    this.isStale = false;
    const { connection: isConnectionWanted, policy: isPolicyWanted } = this.#isWanted;
    const esp = this.#source.esp().filter(({ policy }) => isPolicyWanted(policy));
    const ike = this.#source.ike().filter(({ connection }) => isConnectionWanted(connection));
    return [...esp.map(({ key }) => key), ...ike.map(ikeKey)].filter((key) => {
      const id = JSON.stringify(key);
      if (this.#told.has(id)) return false;
      this.#told.add(id);
      return true;
    });
  }
}

function ikeKey({ initiatorSpi, responderSpi, suite, ...keys }: ExportedIkeKeys): CaptureKey {
  return {
    kind: "ike",
    initiatorSpi,
    responderSpi,
    encr: suite.encr,
    encrKeyBits: suite.encrKeyBits,
    integ: suite.integ,
    skEi: toHex(keys.skEi),
    skEr: toHex(keys.skEr),
    skAi: toHex(keys.skAi),
    skAr: toHex(keys.skAr),
  };
}
