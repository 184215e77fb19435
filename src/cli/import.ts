/** `tungate import swanctl`: a configuration from strongSwan's, and what of it could not be translated. */
import { closeSync, constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { utf8 } from "../base/bytes.ts";
import { TungateError } from "../base/errors.ts";
import { ConfigError, type ConfigProblem, formatConfigProblem } from "../config/config-error.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import type { ConfigurationReader } from "../config/reader.ts";
import { type Imported, importSwanctl } from "../import/swanctl.ts";
import type { CommandContext } from "./command-context.ts";
import { importFiles } from "./import-files.ts";
import { printable } from "./terminal.ts";

export interface ImportOptions {
  readonly json: boolean;
  /** A folder for the configuration and its secrets; absent: the configuration goes to stdout, and secrets nowhere. */
  readonly output?: string;
}

const FILE_NAME = "tungate.yaml";
const SECRETS = "secrets";

/** The folder is not what it should be, or holds what would be overwritten. */
class ImportError extends TungateError {
  override readonly name = "ImportError";
  readonly code = "IMPORT_OUTPUT";
}

/** @returns the exit status: 1 when the result is no configuration */
export function importCommand(
  file: string,
  { json, output }: ImportOptions,
  context: CommandContext,
): number {
  const path = resolve(file);
  const imported = importSwanctl(path, importFiles(path));
  const folder = resolve(output ?? ".");
  const problems = problemsOf(imported, folder, context);
  if (output !== undefined) write(imported, folder);
  const notes = imported.notes.map((note) => ({ ...note, file: note.file === path ? file : note.file }));
  if (json) {
    const { connections, yaml, secrets } = imported;
    const document = {
      connections,
      configuration: yaml,
      secrets: secrets.map(({ name }) => name),
      notes,
      problems,
    };
    context.write(`${JSON.stringify(document, null, 2)}\n`);
    return problems.length === 0 ? 0 : 1;
  }
  if (output === undefined) context.write(imported.yaml);
  for (const { file: at, line, path: where, message } of notes)
    context.writeError(`${printable(at)}:${line}: ${where}: ${message}\n`);
  for (const problem of problems) context.writeError(`check: ${formatConfigProblem(problem)}\n`);
  context.writeError(`${summary(imported, output)}\n`);
  return problems.length === 0 ? 0 : 1;
}

function summary({ connections, secrets, notes }: Imported, output: string | undefined): string {
  const counted = (count: number, one: string) => `${count} ${count === 1 ? one : `${one}s`}`;
  const written =
    output === undefined
      ? secrets.length === 0
        ? ""
        : `; ${counted(secrets.length, "secret")} not written, -o DIR writes them to files of their own`
      : `, written to ${join(output, FILE_NAME)} with ${counted(secrets.length, "secret")}`;
  return `${counted(connections, "connection")}${written}; ${counted(notes.length, "note")} above`;
}

/** What `check` will say, found out before anything is written. */
function problemsOf(imported: Imported, folder: string, context: CommandContext): readonly ConfigProblem[] {
  const virtual = new Map<string, string>([
    [join(folder, FILE_NAME), imported.yaml],
    ...imported.secrets.map(({ name, text }) => [join(folder, name), text] as const),
  ]);
  const disk = createFileReader(context.environment);
  const reader: ConfigurationReader = {
    ...disk,
    readFile(path, octetsMax) {
      const text = virtual.get(path);
      return text === undefined
        ? disk.readFile(path, octetsMax)
        : { kind: "file", bytes: utf8(text), mode: 0o600 };
    },
  };
  try {
    loadConfiguration(join(folder, FILE_NAME), reader);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** All of it or nothing: what was written is taken away again when something cannot be. */
function write({ yaml, secrets }: Imported, folder: string): void {
  const made: string[] = [];
  try {
    attempt(folder, () => mkdirSync(folder, { recursive: true }));
    const file = join(folder, FILE_NAME);
    writeFresh(file, yaml, 0o644, made);
    if (secrets.length === 0) return;
    const folderOfSecrets = join(folder, SECRETS);
    // One that is there may be a link, or others may read it.
    attempt(folderOfSecrets, () => mkdirSync(folderOfSecrets, { mode: 0o700 }));
    made.push(folderOfSecrets);
    for (const { name, text } of secrets) writeFresh(join(folder, name), `${text}\n`, 0o600, made);
  } catch (error) {
    for (const path of made.reverse()) rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

/** Never over something that is there, and never through a link. */
function writeFresh(path: string, text: string, mode: number, made: string[]): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const descriptor = attempt(path, () => openSync(path, flags, mode));
  made.push(path);
  try {
    attempt(path, () => writeFileSync(descriptor, text));
  } finally {
    closeSync(descriptor);
  }
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const isThere = error instanceof Error && "code" in error && error.code === "EEXIST";
    const why = isThere
      ? "is there already; name an empty folder, or move it away"
      : `cannot be written: ${error instanceof Error ? error.message : error}`;
    throw new ImportError(`${basename(path)} in ${resolve(path, "..")} ${why}`);
  }
}
