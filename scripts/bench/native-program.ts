/** Builds the bench's own C++ programs; each is built once per run. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../test/interop/harness/command.ts";

const FLAGS = ["-std=c++20", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror"];
const BUILD_MS = 120_000;
const built = new Map<string, Promise<string>>();
let folder: string | undefined;

/** @returns the folder that {@link nativeProgram} builds in; whoever ends the run removes it */
export function buildFolder(): string {
  folder ??= mkdtempSync(join(tmpdir(), "tungate-bench-"));
  return folder;
}

/**
 * Path of the program made of `native/NAME.cc`.
 * @param libraries  tried one after the other until one links
 * @throws Error with the compiler's words
 */
export function nativeProgram(name: string, libraries: readonly string[] = []): Promise<string> {
  const known = built.get(name);
  if (known !== undefined) return known;
  const program = build(name, libraries);
  built.set(name, program);
  return program;
}

async function build(name: string, libraries: readonly string[]): Promise<string> {
  const path = join(buildFolder(), name);
  const source = join(import.meta.dirname, "native", `${name}.cc`);
  let words = "";
  for (const flags of libraries.length === 0 ? [[]] : libraries.map((library) => [`-l${library}`])) {
    const outcome = await run(["g++", ...FLAGS, "-o", path, source, ...flags], {
      mayFail: true,
      timeoutMs: BUILD_MS,
    });
    if (outcome.status === 0) return path;
    words = outcome.stderr;
  }
  throw new Error(`${name} does not build: ${words.slice(0, 1000)}`);
}
