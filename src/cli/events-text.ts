/** Events as lines for a terminal. */
import type { GatewayEvent } from "../control/events-schema.ts";
import { dropWords } from "../observe/drop-words.ts";

/** Lines without line ends. Whatever a peer chose has no effect on the terminal. */
export function eventLines(event: GatewayEvent): string[] {
  const time = event.at.slice(0, 19).replace("T", " ");
  const [first = "", ...more] = wordsOf(event);
  const name = nameOf(event);
  return [`${time}  ${name === "" ? "" : `${name}: `}${first}`, ...more.map((line) => `    ${line}`)].map(
    printable,
  );
}

function nameOf(event: GatewayEvent): string {
  if (!("connection" in event) || event.connection === undefined) return "";
  const child = "child" in event && event.child !== undefined ? `/${event.child}` : "";
  return `${event.connection}${child}`;
}

function wordsOf(event: GatewayEvent): readonly string[] {
  switch (event.type) {
    case "notice":
    case "moved":
      return event.lines;
    case "state":
      return [`${event.from} -> ${event.to}`];
    case "drops": {
      const counts = Object.entries(event.drops).sort(([, a], [, b]) => b - a);
      return [
        `dropped in the last ${event.seconds} s`,
        ...counts.map(([reason, count]) => `${count} ${dropWords(reason)}`),
      ];
    }
    case "lost":
      return [
        event.count === undefined
          ? "the daemon has been started anew; what it said before is gone"
          : `${event.count} events are lost: they came faster than they were read`,
      ];
    default:
      return event satisfies never;
  }
}

/** Without characters that could command the terminal. */
function printable(line: string): string {
  return line.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "?");
}
