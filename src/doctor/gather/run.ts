/** Runs a program of the system that only looks, with bounds on its time and its words. */
import { spawn } from "node:child_process";
import { isAbsolute } from "node:path";
import { type Known, known, unknown } from "../finding.ts";

const TIMEOUT_MS = 10_000;
/** A ruleset with tens of thousands of elements has this much. */
const OUTPUT_OCTETS_MAX = 32 * 1024 * 1024;
const COMPLAINT_LENGTH_MAX = 200;
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export interface LookLimits {
  readonly timeoutMs: number;
  readonly outputOctets: number;
}

/** Its standard output; not known: it is missing, fails, hangs, or says more than anybody reads. */
export function look(
  program: string,
  words: readonly string[],
  { timeoutMs, outputOctets }: LookLimits = { timeoutMs: TIMEOUT_MS, outputOctets: OUTPUT_OCTETS_MAX },
): Promise<Known<string>> {
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: searchPath(process.env["PATH"]), LC_ALL: "C" },
    });
    const shown = [program, ...words].join(" ");
    const parts: Buffer[] = [];
    let length = 0;
    let complaint = "";
    const end = (fact: Known<string>) => {
      clearTimeout(timer);
      resolve(fact);
    };
    // What it started itself may live on and hold the pipes, and a process in the kernel's hands cannot be killed: nobody waits for those.
    const giveUp = (why: string) => {
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      end(unknown(`${shown} ${why}`));
    };
    const timer = setTimeout(() => giveUp(`does not end within ${timeoutMs / 1000} seconds`), timeoutMs);
    child.stdout.on("data", (part: Buffer) => {
      length += part.length;
      if (length <= outputOctets) parts.push(part);
      else giveUp(`says more than ${outputOctets} octets`);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = `${complaint}${text}`.slice(0, COMPLAINT_LENGTH_MAX);
    });
    child.on("error", (error: NodeJS.ErrnoException) =>
      end(
        unknown(
          error.code === "ENOENT" ? `${program} is not installed` : `${program} cannot be run: ${error.code}`,
        ),
      ),
    );
    child.on("close", (status) => {
      if (status === 0) return end(known(Buffer.concat(parts).toString("utf8")));
      const why = complaint.split("\n", 1)[0]?.replace(/[^\x20-\x7e]/g, "?") ?? "";
      end(unknown(`${shown} failed${why === "" ? "" : `: ${why}`}`));
    });
  });
}

/** Doctor runs as root as a rule, in any folder: an empty or relative entry would run what lies there. */
export function searchPath(given: string | undefined): string {
  const own = (given ?? "").split(":").filter((folder) => isAbsolute(folder));
  return [...own, ...SYSTEM_FOLDERS].join(":");
}
