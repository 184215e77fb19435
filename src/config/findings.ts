/** Collects what is wrong with a file while it is being read, so that everything is reported at once. */
import type { ConfigurationPlace } from "../policy/connection.ts";
import type { ConfigProblem, ConfigProblemCode } from "./config-error.ts";
import { findingsOf, Refusal, type SchemaFinding } from "./leaf.ts";
import { formatPath, type Path, type YamlText } from "./yaml-text.ts";

/** What zod's `safeParse` answers. */
interface Parsed<T> {
  readonly success: boolean;
  readonly data?: T;
  readonly error?: { readonly issues: Parameters<typeof findingsOf>[0] };
}

export class Findings {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];
  readonly #file: string;
  readonly #yaml: YamlText;
  /** By formatted path: the preset that gave the value there, and the connection. */
  readonly #given = new Map<string, { readonly preset: string; readonly connection: Path }>();

  constructor(file: string, yaml: YamlText) {
    this.#file = file;
    this.#yaml = yaml;
  }

  /** Where the key at `path` stands. */
  place(path: Path): ConfigurationPlace {
    return { file: this.#file, line: this.#yaml.keyPlace(path).line };
  }

  /** Values of a connection that do not stand in the file, but in its preset. */
  knowGiven(preset: string, connection: Path, given: readonly Path[]): void {
    for (const path of given) this.#given.set(formatPath([...connection, ...path]), { preset, connection });
  }

  refuse(code: ConfigProblemCode, path: Path, message: string, isKey = false): void {
    this.problems.push(this.#problem(code, path, message, isKey));
  }

  warn(code: ConfigProblemCode, path: Path, message: string): void {
    this.warnings.push(this.#problem(code, path, message, false));
  }

  /** Reports a thrown {@link Refusal} at `path`; anything else is thrown on. */
  attempt<T>(path: Path, check: () => T, isKey = false): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refuse(error.code, path, error.message, isKey);
      return undefined;
    }
  }

  /** The schema's result, or `undefined` after reporting what it found below `path`. */
  accept<T>(path: Path, parsed: Parsed<T>): T | undefined {
    if (parsed.success) return parsed.data as T;
    for (const finding of findingsOf(parsed.error!.issues)) this.#add(path, finding);
    return undefined;
  }

  #add(base: Path, finding: SchemaFinding): void {
    this.refuse(finding.code, [...base, ...finding.path], finding.message, finding.isKey);
  }

  #problem(code: ConfigProblemCode, path: Path, message: string, isKey: boolean): ConfigProblem {
    const giver = this.#giverOf(path);
    if (giver !== undefined) {
      const { line, column } = this.#yaml.valuePlace([...giver.connection, "preset"]);
      const from = `${message} (as preset ${giver.preset} has it; what the connection says itself wins)`;
      return { code, file: this.#file, line, column, path: formatPath(path), message: from };
    }
    const real = this.#yaml.realPath(path);
    const { line, column } = isKey ? this.#yaml.keyPlace(real) : this.#yaml.valuePlace(real);
    return { code, file: this.#file, line, column, path: formatPath(real), message };
  }

  #giverOf(path: Path): { readonly preset: string; readonly connection: Path } | undefined {
    for (let length = path.length; length > 0 && this.#given.size > 0; length--) {
      const giver = this.#given.get(formatPath(path.slice(0, length)));
      if (giver !== undefined) return giver;
    }
    return undefined;
  }
}
