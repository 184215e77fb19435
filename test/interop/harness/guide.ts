/** Guides whose commands run as they stand in them: fenced blocks of shell, one after the other in one shell. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";
import { ROOT } from "./prerequisites.ts";

/** What each block printed, in order; as many as the page has. */
export interface GuideRun {
  readonly commands: readonly string[];
  readonly outputs: readonly string[];
  /** What stands below each block, where a fenced block without a language follows it. */
  readonly shown: readonly (string | undefined)[];
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
