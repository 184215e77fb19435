/** `tungate reload`: the running gateway takes its configuration anew, or says what that would change. */
import { createControlClient } from "../control/client.ts";
import type { ReloadOutcome } from "../control/reload-schema.ts";
import type { CommandContext } from "./command-context.ts";
import { reloadLines } from "./reload-text.ts";

export interface ReloadOptions {
  readonly control: string;
  readonly json: boolean;
  readonly plan: boolean;
  /** Seconds. */
  readonly confirm?: number;
  readonly keep: boolean;
  readonly undo: boolean;
}

/** @returns the exit status */
export async function reload(options: ReloadOptions, context: CommandContext): Promise<number> {
  const outcome = await ask(options);
  const isRefused = outcome.outcome === "refused";
  if (options.json) context.write(`${JSON.stringify(outcome, null, 2)}\n`);
  else {
    const text = `${reloadLines(outcome).join("\n")}\n`;
    if (isRefused) context.writeError(text);
    else context.write(text);
  }
  return isRefused ? 1 : 0;
}

function ask({ control, plan, confirm, keep, undo }: ReloadOptions): Promise<ReloadOutcome> {
  const client = createControlClient(control);
  if (keep) return client.endTrial("reloadKeep");
  if (undo) return client.endTrial("reloadUndo");
  return client.reload({ plan, ...(confirm === undefined ? {} : { confirmSeconds: confirm }) });
}
