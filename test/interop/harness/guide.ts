/** Guides whose commands run as they stand in them: fenced blocks of shell, one after the other in one shell. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { run } from "./command.ts";
import { ROOT } from "./prerequisites.ts";

/** What each block printed, in order; as many as the page has. */
export interface GuideRun {
  readonly commands: readonly string[];
  readonly outputs: readonly string[];
  /** What stands below each block, where a fenced block without a language follows it. */
  readonly shown: readonly (string | undefined)[];
}

/** The lines that a page shows below `$ COMMAND`, in an indented or a fenced block. @throws Error where it shows none */
export function shownBelow(page: string, command: string): string[] {
  const lines = readFileSync(join(ROOT, "docs", page), "utf8").split("\n");
  const at = lines.findIndex((line) => line.trim() === `$ ${command}`);
  const margin = /^ */.exec(lines[at] ?? "")![0];
  const rest = lines.slice(at + 1);
  const end = rest.findIndex(
    (line) => /^(?: *\$ |```)/.test(line) || (line !== "" && !line.startsWith(margin)),
  );
  const shown = rest.slice(0, end).filter((line) => line.trim() !== "" && line.trim() !== "...");
  if (at < 0 || shown.length === 0) throw new Error(`docs/${page} shows nothing below "$ ${command}"`);
  return shown;
}

/** A line without what differs from run to run and from machine to machine. */
const likeness = (line: string) =>
  line
    .replace(/( lanes?), .*/, "$1")
    .replace(/ lost +[\d.]+ %/, "")
    .replace(/(dropped packets: ).*/, "$1")
    .replace(/[\d.]+ (?:h|min|s|ms)\b(?: \d+ (?:min|s)\b)?/g, "TIME")
    .replace(/[\d.]+ [kMG]?(?:B|bit\/s)(?![\w])/g, "AMOUNT")
    .replace(/\b[0-9a-f]{8}\b/g, "SPI")
    .replace(/\bonce\b|\b\d+ times\b/g, "TIMES")
    .replace(/\d+(?:\.\d+)?/g, "0")
    .replace(/\s+/g, " ")
    .trim();

/** Requires that `printed` has a line like each that the page shows below the command, in the same order; it may have more. */
export function expectLikeShown(page: string, command: string, printed: string): void {
  const lines = printed.split("\n").map(likeness);
  let at = 0;
  for (const line of shownBelow(page, command).map(likeness)) {
    const found = lines.indexOf(line, at);
    expect(found, `docs/${page}, $ ${command}: "${line}" in\n${printed}`).toBeGreaterThanOrEqual(0);
    at = found + 1;
  }
}

const MARK = "=== block ";

/** Runs them as root, away from the machine's own network, mounts and processes; all that they started ends with them. */
export async function runGuide(page: string, more = ""): Promise<GuideRun> {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$\n*(?:^```text\n(.*?)^```$)?/gms)];
  const commands = blocks.map(([, command]) => command!);
  const script = commands.map((command, i) => `echo "${MARK}${i}"\n${command}`).join("\n");
  // Job control gives each background command the number that the page names.
  const outcome = await run(
    [
      "unshare",
      "--mount",
      "--net",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      "bash",
      "-c",
      // The tree is seen elsewhere too: it may lie below what is hidden.
      `set -em\nmount --bind "$1" /mnt\ncd /mnt\nmount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /tmp\n${more}\nexec 2>&1\ntrap "tail -n 20 /tmp/*/*.log" ERR\n${script}`,
      "guide",
      ROOT,
    ],
    { mayFail: true, timeoutMs: 110_000 },
  );
  if (outcome.status !== 0)
    throw new Error(`${page}: a command failed (${outcome.status}):\n${outcome.stdout}${outcome.stderr}`);
  const outputs = outcome.stdout.split(/^=== block \d+\n/m).slice(1);
  return { commands, outputs, shown: blocks.map(([, , below]) => below) };
}
