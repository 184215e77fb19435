/** What is wrong with a configuration: every finding with its code, its place and what to do about it. */
import { TungateError } from "../base/errors.ts";

export type ConfigProblemCode =
  /** The file itself. */
  | "CONFIG_FILE_MISSING"
  | "CONFIG_FILE_UNREADABLE"
  | "CONFIG_FILE_TOO_BIG"
  | "CONFIG_FILE_WRITABLE"
  | "CONFIG_FILE_NOT_TEXT"
  | "CONFIG_FILE_EMPTY"
  | "CONFIG_SYNTAX"
  /** Keys and shapes. */
  | "CONFIG_UNKNOWN_KEY"
  | "CONFIG_NOT_SUPPORTED"
  | "CONFIG_MISSING_KEY"
  | "CONFIG_WRONG_TYPE"
  | "CONFIG_QUOTE_IT"
  | "CONFIG_BAD_VALUE"
  | "CONFIG_CONFLICT"
  /** What the values mean together. */
  | "CONFIG_PROPOSAL"
  | "CONFIG_SELECTOR"
  | "CONFIG_OVERLAP"
  | "CONFIG_MANUAL_STATE"
  /** Certificates that are not valid, or not for long; identities that they do not hold. */
  | "CONFIG_CERTIFICATE"
  | "CONFIG_IDENTITY"
  /** Metrics are served to others than this machine. */
  | "CONFIG_METRICS_OPEN"
  /** Secrets. */
  | "CONFIG_SECRET_MISSING"
  | "CONFIG_SECRET_EXPOSED"
  | "CONFIG_SECRET_MALFORMED"
  | "CONFIG_PROPOSAL_WEAK"
  | "CONFIG_SECRET_WEAK"
  | "CONFIG_SECRET_INLINE";

export interface ConfigProblem {
  readonly code: ConfigProblemCode;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Keys from the top, as in `connections.paris.remote.address`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong and what to do, one or two sentences; never holds a secret. */
  readonly message: string;
}

/** The configuration is refused as a whole; `problems` has at least one entry, in the order of the file. */
export class ConfigError extends TungateError {
  override readonly name = "ConfigError";
  readonly code = "CONFIG_INVALID";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatConfigProblem).join("\n"));
    this.problems = problems;
  }
}

/** `tungate.yaml:31:7: connections.paris.psk: ...` */
export function formatConfigProblem(problem: ConfigProblem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}`;
  return problem.path === ""
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}
