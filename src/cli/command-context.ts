/** What commands need of the process around them; an argument, so that tests can be that process. */

import type { EarlyStart } from "./early-start.ts";
import type { Terminal } from "./terminal.ts";

export interface CommandContext {
  /** Of `run`, when it was started as the first word. */
  readonly early?: EarlyStart;
  readonly version: string;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly isErrorTerminal: boolean;
  /** Absent: stdout is no terminal. */
  readonly terminal?: Terminal | undefined;
  /** stdout */
  write(text: string): void;
  /** stderr */
  writeError(text: string): void;
}
