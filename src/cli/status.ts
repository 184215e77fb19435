/** `tungate status`: what the running gateway does. */
import { createControlClient } from "../control/client.ts";
import type { CommandContext } from "./command-context.ts";
import { statusLines } from "./status-text.ts";

/** @returns the exit status */
export async function status(control: string, isJson: boolean, context: CommandContext): Promise<number> {
  const document = await createControlClient(control).status();
  context.write(isJson ? `${JSON.stringify(document, null, 2)}\n` : `${statusLines(document).join("\n")}\n`);
  return 0;
}
