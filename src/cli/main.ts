/** Entry point of the program `tungate`: the process around the command line. */
import { readFileSync } from "node:fs";
import { TungateError } from "../base/errors.ts";
import type { CommandContext } from "./command-context.ts";
import type { EarlyStart } from "./early-start.ts";
import { terminalOf } from "./terminal.ts";

/** From src/cli and from dist/cli alike. */
const PACKAGE = new URL("../../package.json", import.meta.url);
/** A stopped gateway that something keeps alive is ended after this. */
const LINGER_MS = 2_000;

function programVersion(): string {
  const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string };
  return version;
}

async function startEarly(): Promise<EarlyStart> {
  try {
    return (await import("./early-start.ts")).startEarly(process.env);
  } catch (error) {
    if (!(error instanceof TungateError)) throw error;
    process.stderr.write(`tungate: ${error.message}\n`);
    process.exit(1);
  }
}

async function main(words: readonly string[]): Promise<void> {
  // Everything else is loaded while lanes start: a word for commander comes after the first packet.
  const early = words[0] === "run" ? await startEarly() : undefined;
  const { runCommandLine } = await import("./command-line.ts");

  const context: CommandContext = {
    ...(early === undefined ? {} : { early }),
    version: programVersion(),
    environment: process.env,
    isErrorTerminal: process.stderr.isTTY === true,
    terminal: terminalOf(process.stdout, process.env),
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
  };

  // `tungate status | head` closes the pipe early, which is no failure.
  process.stdout.on("error", () => process.exit(0));
  process.exitCode = await runCommandLine(words, context);
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

void main(process.argv.slice(2));
