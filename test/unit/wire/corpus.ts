/** The fuzz corpus: one input per file, in hexadecimal; what follows `#` says what it is. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex } from "../../../src/base/bytes.ts";

const WIRE_CORPUS = join(import.meta.dirname, "../../corpus/wire");

export interface CorpusInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function readCorpus(): readonly CorpusInput[] {
  const names = readdirSync(WIRE_CORPUS).filter((name) => name.endsWith(".hex"));
  return names.sort().map((name) => {
    const text = readFileSync(join(WIRE_CORPUS, name), "utf8");
    return { name, bytes: fromHex(text.replaceAll(/#.*$/gm, "").replaceAll(/\s/g, "")) };
  });
}
