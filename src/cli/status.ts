/** `tungate status`: what the running gateway does. */
import { createControlClient } from "../control/client.ts";
import type { CommandContext } from "./command-context.ts";
import { checkStatus } from "./status-check-text.ts";
import { statusDetailLines } from "./status-detail-text.ts";
import { statusLines } from "./status-text.ts";
import { screenOf } from "./terminal.ts";

export interface StatusOptions {
  readonly control: string;
  readonly json: boolean;
  /** One line, and the exit status says whether all is as it should be. */
  readonly check: boolean;
  /** Every connection, however many there are. */
  readonly all: boolean;
}

/** More than one screen of connections in trouble, and few enough to be quick. */
const CONNECTIONS_ASKED = 100;

/** @returns the exit status */
export async function status(
  connection: string | undefined,
  { control, json, check, all }: StatusOptions,
  context: CommandContext,
): Promise<number> {
  const document = await createControlClient(control).status({
    ...(connection === undefined ? {} : { connection }),
    ...(json || all ? {} : { limit: CONNECTIONS_ASKED }),
  });
  const { isGood, line } = checkStatus(document);
  const screen = screenOf(context.terminal);
  if (json) context.write(`${JSON.stringify(document, null, 2)}\n`);
  else if (check) context.write(`${line}\n`);
  else {
    const lines =
      connection === undefined ? statusLines(document, screen, all) : statusDetailLines(document, screen);
    context.write(`${lines.join("\n")}\n`);
  }
  return check && !isGood ? 1 : 0;
}
