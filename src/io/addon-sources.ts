/** What the addon is made of, as one word, so that a program never runs with the addon of another one. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where sources lie below `native/`. */
const FOLDERS = [".", "ipsec_mb"];

/**
 * @param native  the folder of the addon's sources
 * @returns the first 64 bits of a digest of them all, 16 hexadecimal digits
 */
export function addonSources(native: string): string {
  const digest = createHash("sha256");
  for (const folder of FOLDERS) {
    const names = readdirSync(join(native, folder)).filter((name) => /\.(?:cc|h)$/.test(name));
    for (const name of names.sort()) {
      const text = readFileSync(join(native, folder, name));
      digest.update(`${folder}/${name} ${text.length}\n`).update(text);
    }
  }
  return digest.digest("hex").slice(0, 16);
}
