/** A reader over files in memory, for tests of the configuration. */
import { resolve } from "node:path";
import { utf8 } from "../../../src/base/bytes.ts";
import { ConfigError, type ConfigProblem } from "../../../src/config/config-error.ts";
import type { Configuration } from "../../../src/config/configuration.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import type { ConfigurationReader, FileReading } from "../../../src/config/reader.ts";
import { schemaProblems } from "./schema-validator.ts";

export const FILE = "/etc/tungate/tungate.yaml";
export const KEY = "0123456789abcdefghijklmnopqrstuv";

type Content = string | Uint8Array | FileReading;

export interface World {
  readonly files?: Readonly<Record<string, Content>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly wallClock?: number;
}

/** Milliseconds since 1970 unless a test says otherwise. */
export const NOW = Date.UTC(2026, 10, 21);

/** Relative paths lie in /etc/tungate; texts are files of mode 0600. */
export function memoryReader({ files = {}, environment = {}, wallClock = NOW }: World): ConfigurationReader {
  const byPath = new Map(
    Object.entries(files).map(([path, content]) => [resolve("/etc/tungate", path), content]),
  );
  return {
    readFile(path, octetsMax) {
      const content = byPath.get(path);
      if (content === undefined) return { kind: "missing" };
      if (typeof content === "object" && "kind" in content)
        return content.kind === "file" && content.bytes.length > octetsMax ? { kind: "tooBig" } : content;
      const bytes = typeof content === "string" ? utf8(content) : content.slice();
      return bytes.length > octetsMax ? { kind: "tooBig" } : { kind: "file", bytes, mode: 0o600 };
    },
    environment: (name) => environment[name],
    wallClock: () => wallClock,
  };
}

/** Loads a configuration beside which lies `secrets/paris`; what is one has to be one to the JSON Schema too. */
export function load(text: Content, world: World = {}): Configuration {
  const files = { "secrets/paris": `${KEY}\n`, ...world.files, "tungate.yaml": text };
  const configuration = loadConfiguration(FILE, memoryReader({ ...world, files }));
  const problems = typeof text === "string" ? schemaProblems(text) : [];
  if (problems.length > 0)
    throw new Error(`the JSON Schema refuses what the reader accepts: ${problems.join("; ")}`);
  return configuration;
}

/** What a refused configuration is refused for. */
export function problemsOf(text: Content, world: World = {}): readonly ConfigProblem[] {
  try {
    load(text, world);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

/** `code line:column path` of every problem. */
export function placesOf(text: Content, world: World = {}): string[] {
  return problemsOf(text, world).map(({ code, line, column, path }) => `${code} ${line}:${column} ${path}`);
}

/** A connection that works; `more` is indented below it. */
export function paris(more = "", children = "lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 }"): string {
  const extra = more === "" ? "" : `    ${more.replaceAll("\n", "\n    ")}\n`;
  return `connections:\n  paris:\n    remote: { address: 198.51.100.2 }\n    psk: { file: secrets/paris }\n    children:\n      ${children}\n${extra}`;
}
