/** What commands need of the process around them; an argument, so that tests can be that process. */

export interface CommandContext {
  readonly version: string;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly isErrorTerminal: boolean;
  /** stdout */
  write(text: string): void;
  /** stderr */
  writeError(text: string): void;
}
