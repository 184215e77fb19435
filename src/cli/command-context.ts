/** What commands need of the process around them; an argument, so that tests can be that process. */

import type { Terminal } from "./terminal.ts";

export interface CommandContext {
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
