/** Options of the benches. What a bench says of itself at its head is its help. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";

/** @param file - the bench, `import.meta.filename` */
export function usage(file: string, problem: string): never {
  console.error(`${basename(file, ".ts")}: ${problem}\n${helpOf(file)}`);
  process.exit(2);
}

/** What the command line gives for `options`; `--help` and what is unknown end the program. */
export function readOptions<Options extends NonNullable<ParseArgsConfig["options"]>>(
  file: string,
  options: Options,
) {
  if (process.argv.includes("--help")) {
    console.log(helpOf(file));
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return usage(file, error instanceof Error ? error.message : String(error));
  }
}

/** A whole number, `least` at least. */
export function numberOf(file: string, name: string, text: string, least: number): number {
  const value = Number(text);
  if (text === "" || !Number.isInteger(value) || value < least)
    usage(file, `--${name} wants a number from ${least}`);
  return value;
}

function helpOf(file: string): string {
  const [head = ""] = readFileSync(file, "utf8").split(" */", 1);
  return head
    .replace(/^\/\*\*\n/, "")
    .replaceAll(/^ \* ?/gm, "")
    .trimEnd();
}
