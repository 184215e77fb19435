/** `tungate up`, `down` and `rekey`: a command to the running gateway, and what became of it. */
import { createControlClient } from "../control/client.ts";
import type { CommandKind, CommandOutcome } from "../control/schema.ts";
import type { CommandContext } from "./command-context.ts";
import type { Target } from "./command-line.ts";
import { printable } from "./terminal.ts";

export interface CommandOptions {
  readonly control: string;
  readonly json: boolean;
  /** Seconds; 0 does not wait. */
  readonly timeout: number;
}

/** @returns the exit status */
export async function command(
  kind: CommandKind,
  target: Target,
  { control, json, timeout }: CommandOptions,
  context: CommandContext,
): Promise<number> {
  const outcome = await createControlClient(control).command(kind, { ...target, waitSeconds: timeout });
  const isDone = outcome.outcome === "done" || outcome.outcome === "started";
  if (json) context.write(`${JSON.stringify(outcome, null, 2)}\n`);
  else if (isDone) context.write(outcomeText(kind, target, outcome, timeout));
  else context.writeError(outcomeText(kind, target, outcome, timeout));
  return isDone ? 0 : 1;
}

const DONE = { up: "is up", down: "is down", rekey: "has new keys" } as const;
const STARTED = { up: "is coming up", down: "is going down", rekey: "is being rekeyed" } as const;
const NOT_DONE = { up: "is not up", down: "is not down", rekey: "has no new keys" } as const;

function outcomeText(kind: CommandKind, target: Target, outcome: CommandOutcome, timeout: number): string {
  const name = target.child === undefined ? target.connection : `${target.connection}/${target.child}`;
  const [first, ...more] = outcome.lines.map(printable);
  const below = more.map((line) => `  ${line}\n`).join("");
  switch (outcome.outcome) {
    case "done":
      return `${name} ${DONE[kind]}\n${first === undefined ? "" : `  ${first}\n`}${below}`;
    case "started":
      return `${name} ${STARTED[kind]}\n`;
    case "failed":
      return `${name}: ${first ?? NOT_DONE[kind]}\n${below}`;
    case "timedOut": {
      const why = first === undefined ? "" : `  ${first}\n${below}`;
      return `${name} ${NOT_DONE[kind]} after ${timeout} s; the gateway goes on, see tungate status\n${why}`;
    }
    default:
      return outcome.outcome satisfies never;
  }
}
