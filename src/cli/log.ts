/** `tungate log`: how much the running gateway logs. */
import { createControlClient } from "../control/client.ts";
import type { LogDocument, LogRequest } from "../control/log-schema.ts";
import type { CommandContext } from "./command-context.ts";

export interface LogOptions {
  readonly control: string;
  readonly json: boolean;
  readonly seconds?: number;
}

/** @returns the exit status */
export async function log(
  request: Pick<LogRequest, "connection"> & { readonly level?: LogRequest["level"] },
  { control, json, seconds }: LogOptions,
  context: CommandContext,
): Promise<number> {
  const client = createControlClient(control);
  const { level, connection } = request;
  const wanted = {
    ...(connection === undefined ? {} : { connection }),
    ...(seconds === undefined ? {} : { seconds }),
  };
  const document =
    level === undefined ? await client.logLevels() : await client.setLogLevel({ level, ...wanted });
  context.write(json ? `${JSON.stringify(document, null, 2)}\n` : levelText(document));
  return 0;
}

function levelText({ levels }: LogDocument): string {
  if (levels.length === 0) return "everything is logged as the gateway was started\n";
  return levels
    .map(({ connection, level, endsInSeconds }) => {
      const end = endsInSeconds === undefined ? "until the gateway ends" : `for another ${endsInSeconds} s`;
      return `${connection ?? "everything"}: ${level}, ${end}\n`;
    })
    .join("");
}
