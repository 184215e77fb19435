/**
 * The program is a script, and beside it lies what V8 made of it: a start reads that instead of compiling. Without it, or with
 * that of another Node.js or other options, V8 compiles as it always does.
 */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";

export const SCRIPT = ".script";
/** SHA-256 of script and code, and the code. */
export const CODE = ".code";
/** V8 compares no more of the script than its length, and of the code nothing: neither may differ from what was compiled. */
const DIGEST_OCTETS = 32;

/** What surrounds a script: it is one function, and these are its arguments. */
export const SCRIPT_BEGIN = "(function (require, SCRIPT_URL, SCRIPT_FOLDER) {";
export const SCRIPT_END = "})";
type ScriptFunction = (require: NodeJS.Require, url: string, folder: string) => void;

/** @param path - of the script, without its ending. @returns whether V8 found its code beside it */
export function runScript(path: string): boolean {
  const file = path + SCRIPT;
  const octets = readFileSync(file);
  const cachedData = codeOf(path, octets);
  const script = new Script(textOf(octets), {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  const run = script.runInThisContext() as ScriptFunction;
  run(createRequire(file), pathToFileURL(file).href, dirname(file));
  return script.cachedDataRejected === false;
}

/** Puts the code of all functions beside the script. The Node.js and its options have to be those of the program. */
export function compileScript(path: string): void {
  const octets = readFileSync(path + SCRIPT);
  // Asked for here: a start does without it.
  const { setFlagsFromString } = process.getBuiltinModule("node:v8");
  // Otherwise each function is compiled at its first call, and would not be among what is kept.
  setFlagsFromString("--no-lazy");
  const script = new Script(textOf(octets), { filename: path + SCRIPT });
  setFlagsFromString("--lazy");
  const code = script.createCachedData();
  // A program that starts meanwhile finds all of it or what was there before.
  writeFileSync(`${path}${CODE}.new`, Buffer.concat([digest(octets, code), code]));
  renameSync(`${path}${CODE}.new`, path + CODE);
}

/** ASCII, as the build sees to it. */
const textOf = (octets: Buffer) => octets.toString("latin1");

function codeOf(path: string, script: Buffer): Buffer | undefined {
  let octets: Buffer;
  try {
    octets = readFileSync(path + CODE);
  } catch {
    return undefined;
  }
  const code = octets.subarray(DIGEST_OCTETS);
  return digest(script, code).equals(octets.subarray(0, DIGEST_OCTETS)) ? code : undefined;
}

function digest(script: Buffer, code: Buffer): Buffer {
  return createHash("sha256").update(script).update(code).digest();
}
