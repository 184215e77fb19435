/** The commands and examples of docs/certificates.md, by section. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

const GUIDE = readFileSync(join(import.meta.dirname, "../../../docs/certificates.md"), "utf8");

export interface Section {
  readonly title: string;
  /** Lines of its blocks of commands. */
  readonly commands: readonly string[];
  readonly examples: readonly string[];
  /** The whole of it. */
  readonly text: string;
}

const COMMAND = /^ {4}((?:openssl|printf|chmod|umask) .*)$/gm;
export const sections: readonly Section[] = GUIDE.split(/^## /m)
  .slice(1)
  .map((text) => ({
    title: text.slice(0, text.indexOf("\n")),
    commands: [...text.matchAll(COMMAND)].map((match) => match[1]!),
    examples: [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]!),
    text,
  }));

/** @throws Error where the guide has no such section */
export function sectionOf(title: string): Section {
  const found = sections.find((one) => one.title === title);
  if (found === undefined) throw new Error(`certificates.md has no section "${title}"`);
  return found;
}

/** Runs the commands of sections as the guide has them, for gw-a and then for gw-b. */
export function follow(folder: string, ...titles: readonly string[]): void {
  const lines = titles.flatMap((title) => sectionOf(title).commands);
  expect(lines.length).toBeGreaterThan(0);
  const forPeer = lines
    .filter((line) => line.includes("gw-a"))
    .map((line) => line.replaceAll("gw-a", "gw-b"));
  execFileSync("sh", ["-ec", [...lines, ...forPeer].join("\n")], { cwd: folder, stdio: "pipe" });
}
