/** `tungate events`: what happens, as it happens. */
import { createControlClient } from "../control/client.ts";
import type { CommandContext } from "./command-context.ts";
import { eventLines } from "./events-text.ts";

export interface EventsOptions {
  readonly control: string;
  readonly json: boolean;
  /** Id of the last event that is known. */
  readonly after?: string;
}

/** @returns the exit status, when the reader has gone or `signal` says so */
export async function events(
  connection: string | undefined,
  { control, json, after }: EventsOptions,
  context: CommandContext,
  signal?: AbortSignal,
): Promise<number> {
  const followed = createControlClient(control).events({
    ...(connection === undefined ? {} : { connection }),
    ...(after === undefined ? {} : { after }),
    ...(signal === undefined ? {} : { signal }),
  });
  for await (const event of followed)
    context.write(json ? `${JSON.stringify(event)}\n` : `${eventLines(event).join("\n")}\n`);
  return 0;
}
