/** Runs scripts/tungate-routes, which brings the host's routes and rules to a wanted state. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { IoError } from "./io-error.ts";

/** A host with thousands of prefixes takes seconds; longer than this means that something hangs. */
const TIMEOUT_MS = 60_000;
const OUTPUT_OCTETS_MAX = 64 * 1024;

export interface ScriptOutcome {
  /** All is in place. */
  readonly isComplete: boolean;
  /** Sentences of the script about what is not. */
  readonly complaints: readonly string[];
}

/** The script of the package that this file belongs to, in the sources as well as when built. */
export function routesScriptPath(): string {
  return fileURLToPath(new URL("../../scripts/tungate-routes", import.meta.url));
}

/** Where `tungate-routes prepare --guards` looks at boot; absent without a service manager that gives us a place. */
export function guardsFile(environment: NodeJS.ProcessEnv): string | undefined {
  const folder = environment["STATE_DIRECTORY"]?.split(":", 1)[0];
  return folder === undefined || folder === "" ? undefined : join(folder, "guards");
}

/**
 * Runs `tungate-routes VERB` with `lines` on its standard input.
 * @param saveTo - a file that keeps the lines for the next boot
 * @throws {@link IoError} `IO_ROUTES_SCRIPT_FAILED` when it cannot be run or refuses the lines: nothing has changed then
 */
export async function runRoutesScript(
  verb: "apply" | "clear",
  lines: readonly string[],
  script: string = routesScriptPath(),
  saveTo?: string,
): Promise<ScriptOutcome> {
  try {
    accessSync(script, constants.X_OK);
  } catch (error) {
    throw new IoError(
      "IO_ROUTES_SCRIPT_FAILED",
      `${script} is missing or may not be run; it belongs to the package, so install Tungate again`,
      error,
    );
  }
  const { status, stderr } = await run(
    script,
    [verb, "--whole", ...(saveTo === undefined ? [] : ["--save", saveTo])],
    // Were we killed before the lines are written, the script would take none for all: everything of ours would go.
    `${lines.join("\n")}\nend\n`,
  );
  const complaints = stderr.split("\n").filter((line) => line.trim() !== "");
  if (status === 0 || status === 1) return { isComplete: status === 0, complaints };
  throw new IoError(
    "IO_ROUTES_SCRIPT_FAILED",
    `${script} ${verb} ${status === undefined ? "did not end in time" : `failed with status ${status}`}: ${complaints.join("; ") || "no reason given"}`,
  );
}

function run(
  script: string,
  words: readonly string[],
  input: string,
): Promise<{ status: number | undefined; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(script, words, {
      stdio: ["pipe", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
    let stderr = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < OUTPUT_OCTETS_MAX) stderr += text.slice(0, OUTPUT_OCTETS_MAX);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new IoError("IO_ROUTES_SCRIPT_FAILED", `${script} cannot be run: ${error.message}`, error));
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? undefined, stderr });
    });
    // A script that ends without reading its input is told of by its status.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}
