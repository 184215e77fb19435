/** `tungate blackbox`: what IKE did in the last ten minutes. */
import type { BlackboxDocument, BlackboxEntry } from "../control/blackbox-schema.ts";
import { createControlClient } from "../control/client.ts";
import type { CommandContext } from "./command-context.ts";
import { printable } from "./terminal.ts";

/** @returns the exit status */
export async function blackbox(
  connection: string | undefined,
  { control, json }: { readonly control: string; readonly json: boolean },
  context: CommandContext,
): Promise<number> {
  const document = await createControlClient(control).blackbox(connection);
  context.write(json ? `${JSON.stringify(document, null, 2)}\n` : blackboxText(document, Date.now()));
  return 0;
}

/** @param now - milliseconds since 1970 */
export function blackboxText({ entries, seconds, leftOut }: BlackboxDocument, now: number): string {
  const minutes = Math.round(seconds / 60);
  if (entries.length === 0) return `nothing in the last ${minutes} minutes\n`;
  const lines = entries.flatMap((entry) => entryLines(entry, now));
  if (leftOut > 0) lines.push(`${leftOut} more of the last ${minutes} minutes gave way to these`);
  return `${lines.join("\n")}\n`;
}

const INDENT = " ".repeat(14);

function entryLines(entry: BlackboxEntry, now: number): string[] {
  const at = new Date(now - entry.secondsAgo * 1000).toISOString().slice(11, 23);
  const name = [entry.connection ?? "-", entry.child].filter((part) => part !== undefined).join("/");
  const times = entry.count > 1 ? `  (${entry.count} times)` : "";
  if (entry.kind === "decision") {
    const [first, ...more] = entry.lines.map(printable);
    return [`${at}  ${name}  ${entry.code}: ${first}${times}`, ...more.map((line) => `${INDENT}${line}`)];
  }
  const { direction, remote, exchange, messageId, isResponse, repeats, octets, packets } = entry;
  const what = `${exchange} ${isResponse ? "response" : "request"} ${messageId}`;
  const size = octets === undefined ? "in fragments" : `${octets} octets`;
  const pieces = packets > 1 ? ` in ${packets} fragments` : "";
  const again = repeats > 0 ? `, repeated (${repeats})` : "";
  const arrow = direction === "inbound" ? "<-" : "->";
  return [
    `${at}  ${name}  ${arrow} ${remote}  ${what}, ${size}${pieces}${again}${times}`,
    ...(entry.payloads.length === 0 ? [] : [`${INDENT}${entry.payloads.map(printable).join(", ")}`]),
  ];
}
