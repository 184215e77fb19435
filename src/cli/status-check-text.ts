/** Whether all is as it should be, in a line for monitoring. */
import type { ChildStatus, ConnectionStatus, StatusDocument, Trouble } from "../control/schema.ts";
import { printable } from "./terminal.ts";

/** Names in the line. */
const TROUBLES_SHOWN_MAX = 5;

const WORDS: Readonly<Record<Trouble, string>> = {
  notUp: "is not up",
  failed: "failed",
  oneWay: "gets nothing back",
  leftOut: "has networks without an SA",
  rekeyRefused: "cannot be rekeyed",
  loss: "loses packets",
};

export interface Check {
  readonly isGood: boolean;
  /** Without a line end. */
  readonly line: string;
}

export function checkStatus({ lanes, totals, connections }: StatusDocument): Check {
  if (lanes === 0) return { isGood: false, line: "tungate: the gateway is starting or stopping" };
  const { connections: all, connectionsUp, children, childrenUp, inTrouble } = totals;
  const counts = `${connectionsUp} of ${all} connections and ${childrenUp} of ${children} children are up`;
  if (inTrouble === 0) return { isGood: true, line: `tungate: all is well, ${counts}` };
  const troubles = connections.flatMap(troublesOf);
  // Of many connections only some are told, each of which may have several.
  const untold = inTrouble - connections.filter((one) => troublesOf(one).length > 0).length;
  const rest = Math.max(0, troubles.length - TROUBLES_SHOWN_MAX) + untold;
  const more = rest === 0 ? "" : `; and ${untold > 0 ? "at least " : ""}${rest} more`;
  const shown = troubles.slice(0, TROUBLES_SHOWN_MAX).join("; ");
  return {
    isGood: false,
    line: printable(`tungate: ${shown}${more} (${counts})`),
  };
}

function troublesOf(connection: ConnectionStatus): string[] {
  const of = (name: string, one: ConnectionStatus | ChildStatus) =>
    one.troubles.map((trouble) => `${name} ${WORDS[trouble]}${whyText(trouble, one)}`);
  const own = of(connection.name, connection);
  // Its children are not up for the same reason.
  if (own.length > 0) return own;
  return connection.children.flatMap((child) => of(`${connection.name}/${child.name}`, child));
}

function whyText(trouble: Trouble, { failure }: ConnectionStatus | ChildStatus): string {
  const [first] = failure?.lines ?? [];
  const isWhy = trouble === "notUp" || trouble === "failed" || trouble === "rekeyRefused";
  return isWhy && first !== undefined ? ` (${first})` : "";
}
