/** Runs a program of the system that only looks, with bounds on its time and its words. */
import { spawn } from "node:child_process";
import { type Known, known, unknown } from "../finding.ts";

const TIMEOUT_MS = 10_000;
/** A ruleset with tens of thousands of elements has this much. */
const OUTPUT_OCTETS_MAX = 32 * 1024 * 1024;

/** Its standard output; not known: it is missing, fails, hangs, or says more than anybody reads. */
export function look(program: string, words: readonly string[]): Promise<Known<string>> {
  return new Promise((resolve) => {
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: path, LC_ALL: "C" },
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    const parts: Buffer[] = [];
    let length = 0;
    let complaint = "";
    child.stdout.on("data", (part: Buffer) => {
      length += part.length;
      if (length <= OUTPUT_OCTETS_MAX) parts.push(part);
      else child.kill("SIGKILL");
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (complaint.length < 200) complaint += text;
    });
    child.on("error", () => resolve(unknown(`${program} is not installed`)));
    child.on("close", (status) => {
      if (status === 0) return resolve(known(Buffer.concat(parts).toString("utf8")));
      const why = complaint.split("\n", 1)[0]?.replace(/[^\x20-\x7e]/g, "?") ?? "";
      resolve(unknown(`${[program, ...words].join(" ")} failed${why === "" ? "" : `: ${why}`}`));
    });
  });
}
