/** What a reload would change or has changed, on one screen. */
import type { ReloadOutcome, ReloadPlan } from "../control/reload-schema.ts";
import { printable } from "./terminal.ts";

/** Connections and children that are named one by one; a configuration may have thousands. */
const NAMED_MAX = 200;

/** Lines without line ends. */
export function reloadLines(outcome: ReloadOutcome): string[] {
  return linesOf(outcome).map(printable);
}

function linesOf({ outcome, plan, confirmInSeconds, lines }: ReloadOutcome): string[] {
  switch (outcome) {
    case "planned":
      return plan === undefined ? [...lines] : [plan.summary, ...planLines(plan)];
    case "applied": {
      const trial =
        confirmInSeconds === undefined
          ? []
          : [
              `on trial: what ran before comes back in ${confirmInSeconds} s, unless you say  tungate reload --keep`,
              "to go back at once:  tungate reload --undo",
            ];
      return [`reloaded: ${plan?.summary ?? ""}`, ...(plan === undefined ? [] : planLines(plan)), ...trial];
    }
    case "kept":
      return ["kept: what runs is no longer on trial"];
    case "undone":
      return ["undone: what ran before runs again"];
    case "refused":
      return ["tungate: not reloaded, what runs stays as it is", ...lines.map((line) => `  ${line}`)];
    default:
      return outcome satisfies never;
  }
}

const CONNECTION_WORDS = {
  added: "is new",
  removed: "is removed",
  reconnects: "ends and is negotiated anew",
  reauthenticates: "is authenticated anew, nothing is interrupted if the peer has the new settings in time",
  changed: "goes on",
} as const;
const CHILD_WORDS = {
  added: "is new",
  removed: "is removed",
  reconnects: "ends and is negotiated anew",
  rekeys: "gets new keys, nothing is interrupted",
  changed: "goes on",
} as const;

function planLines({ settings, connections }: ReloadPlan): string[] {
  const lines = [
    ...settings.map(({ key, text }) => `${key}: ${text}`),
    ...connections.flatMap(({ name, change, isUp, reasons, children }) => [
      `${name}${isUp ? " (up)" : ""} ${CONNECTION_WORDS[change]}`,
      ...reasons.map((reason) => `  ${reason}`),
      ...children.flatMap((child) => [
        `  ${child.name}${child.isUp ? " (up)" : ""} ${CHILD_WORDS[child.change]}`,
        ...child.reasons.map((reason) => `    ${reason}`),
      ]),
    ]),
  ];
  if (lines.length <= NAMED_MAX) return lines.map((line) => `  ${line}`);
  const rest = lines.length - NAMED_MAX;
  return [...lines.slice(0, NAMED_MAX), `and ${rest} more lines (--json)`].map((line) => `  ${line}`);
}
