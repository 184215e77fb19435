/** From a configuration file to a {@link Configuration}, or to one error that holds everything that is wrong with it. */
import { dirname, resolve } from "node:path";
import { fromStrictUtf8, wipe } from "../base/bytes.ts";
import { ConfigError, type ConfigProblem, type ConfigProblemCode } from "./config-error.ts";
import type { Configuration } from "./configuration.ts";
import { readConnections } from "./connections.ts";
import { checkChildren } from "./cross-check.ts";
import { Findings } from "./findings.ts";
import { gatewaySettings, readPolicies } from "./gateway.ts";
import type { ConfigurationReader, FileReading } from "./reader.ts";
import { fileSchema } from "./schema.ts";
import type { SecretSettings } from "./secret.ts";
import { type Path, readYaml, type YamlText } from "./yaml-text.ts";

/** Octets of a configuration file, at most: 10,000 connections with every key of theirs and of a child written out have some 10 MB. */
export const CONFIGURATION_OCTETS_MAX = 16 * 1024 * 1024;
/** Problems that are reported; a file with more has one cause for most of them. */
const PROBLEMS_MAX = 50;
const WRITABLE_BY_OTHERS = 0o002;
const READABLE_BY_OTHERS = 0o077;

/**
 * Reads the file and the secrets that it names.
 * @param file - as the operator wrote it; messages repeat it
 * @throws {@link ConfigError}
 */
export function loadConfiguration(file: string, reader: ConfigurationReader): Configuration {
  const reading = reader.readFile(resolve(file), CONFIGURATION_OCTETS_MAX);
  const { bytes, mode } = checkedFile(file, reading);
  const text = fromStrictUtf8(bytes);
  if (text === undefined || text.includes("\0"))
    throw whole(file, "CONFIG_FILE_NOT_TEXT", "is no UTF-8 text; give the configuration, a YAML file");
  const yaml = readYaml(text);
  const fatal = yaml.problems.filter(({ code }) => code === "CONFIG_SYNTAX");
  if (fatal.length > 0) throw new ConfigError(fatal.map((problem) => ({ ...problem, file })));
  return new Loading(file, reader, yaml, mode).run();
}

function checkedFile(file: string, reading: FileReading): { bytes: Uint8Array; mode: number } {
  switch (reading.kind) {
    case "missing":
      throw whole(file, "CONFIG_FILE_MISSING", "there is no such file; name another one with -c FILE");
    case "unreadable":
      throw whole(file, "CONFIG_FILE_UNREADABLE", `cannot be read: ${reading.reason}`);
    case "tooBig":
      throw whole(
        file,
        "CONFIG_FILE_TOO_BIG",
        `has more than ${CONFIGURATION_OCTETS_MAX} octets; is it a configuration at all?`,
      );
    case "file":
      if ((reading.mode & WRITABLE_BY_OTHERS) !== 0)
        throw whole(file, "CONFIG_FILE_WRITABLE", "anyone on this machine can change it; chmod o-w it");
      return reading;
    default:
      return reading satisfies never;
  }
}

function whole(file: string, code: ConfigProblemCode, message: string): ConfigError {
  return new ConfigError([{ code, file, line: 1, column: 1, path: "", message }]);
}

class Loading {
  readonly #file: string;
  readonly #mode: number;
  readonly #yaml: YamlText;
  readonly #findings: Findings;
  readonly #secrets: Uint8Array[] = [];
  readonly #settings: SecretSettings;

  constructor(file: string, reader: ConfigurationReader, yaml: YamlText, mode: number) {
    this.#file = file;
    this.#mode = mode;
    this.#yaml = yaml;
    this.#findings = new Findings(file, yaml);
    this.#findings.problems.push(...yaml.problems.map((problem) => ({ ...problem, file })));
    this.#settings = {
      reader,
      directory: dirname(resolve(file)),
      read: this.#secrets,
      files: new Set(),
      secretFiles: new Set(),
      certificates: new Map(),
    };
  }

  run(): Configuration {
    const findings = this.#findings;
    const root = this.#yaml.value;
    if (root === null || root === undefined)
      throw whole(this.#file, "CONFIG_FILE_EMPTY", "is empty; docs/configuration.md begins with an example");
    const input = findings.accept([], fileSchema.safeParse(root));
    const gateway = gatewaySettings(input?.gateway, findings);
    const rawConnections = isMapping(root) ? root["connections"] : undefined;
    const read = readConnections(rawConnections, gateway, this.#settings, findings);
    const configuration: Configuration = {
      file: resolve(this.#file),
      gateway: { ...gateway, interfaces: read.interfaces },
      connections: read.connections,
      policies: readPolicies(input?.policies ?? [], read.interfaces, findings),
      manual: read.manual,
      privateKeys: read.privateKeys,
      keyFiles: [...this.#settings.files],
      secretFiles: [...this.#settings.secretFiles],
      warnings: findings.warnings,
    };
    if (read.inlineKeys.length > 0 && (this.#mode & READABLE_BY_OTHERS) !== 0)
      this.#refuseInline(read.inlineKeys);
    checkChildren(read, findings);
    if (findings.problems.length === 0) return configuration;
    wipe(...this.#secrets);
    throw new ConfigError(inOrder(this.#file, findings.problems));
  }

  #refuseInline(paths: readonly Path[]): void {
    for (const path of paths)
      this.#findings.refuse(
        "CONFIG_SECRET_EXPOSED",
        path,
        "a key stands in a file that others can read; chmod 600 it, or put the key into a file of its own",
      );
  }
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function inOrder(file: string, problems: readonly ConfigProblem[]): ConfigProblem[] {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  if (sorted.length <= PROBLEMS_MAX) return sorted;
  const last = sorted[PROBLEMS_MAX]!;
  const message = `and ${sorted.length - PROBLEMS_MAX} more problems from here on`;
  return [...sorted.slice(0, PROBLEMS_MAX), { ...last, file, path: "", message }];
}
