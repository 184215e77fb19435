/** `tungate explain`: what becomes of a packet, in both directions, and what to do if that is not what was meant. */
import { createControlClient } from "../control/client.ts";
import type { ExplainAnswer } from "../control/explain-schema.ts";
import type { CommandContext } from "./command-context.ts";
import { printable, type Screen, type Style, screenOf, wrap } from "./terminal.ts";

export interface ExplainOptions {
  readonly control: string;
  readonly json: boolean;
  readonly proto?: string;
  readonly sport?: number;
  readonly port?: number;
}

const LABEL_WIDTH = 12;

/** @returns the exit status: 1 when the packet or its answer is dropped, or leaves in clear */
export async function explain(
  source: string,
  destination: string,
  { control, json, proto, sport, port }: ExplainOptions,
  context: CommandContext,
): Promise<number> {
  const answer = await createControlClient(control).explain({
    source,
    destination,
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(sport === undefined ? {} : { sourcePort: sport }),
    ...(port === undefined ? {} : { port }),
  });
  if (json) context.write(`${JSON.stringify(answer, null, 2)}\n`);
  else context.write(`${explainLines(answer, screenOf(context.terminal)).join("\n")}\n`);
  return answer.ways.some(({ fate }) => fate === "dropped" || fate === "clear") ? 1 : 0;
}

/** Lines without line ends. */
export function explainLines({ ways, next }: ExplainAnswer, screen: Screen): string[] {
  const field = (label: string, text: string) =>
    wrap(
      printable(`  ${label.padEnd(LABEL_WIDTH)}${text}`),
      screen.columns,
      LABEL_WIDTH + 2,
      LABEL_WIDTH + 2,
    );
  const lines = ways.flatMap(({ packet, steps, fate, fateText }) => [
    screen.paint("bold", printable(packet)),
    ...steps.flatMap(({ label, lines: words }) =>
      words.flatMap((line, i) => field(i === 0 ? label : "", line)),
    ),
    screen.paint(STYLES[fate], `  -> ${fateText}`),
    "",
  ]);
  const steps = (next?.lines ?? []).flatMap((line, i) => field(i === 0 ? "next" : "", line));
  return [...lines, ...steps, ...field("not seen", NOT_SEEN)];
}

/** Nobody should take the verdict for one about the whole host. */
const NOT_SEEN = "what this host's packet filter drops or translates on the way; tungate doctor looks at it";

const STYLES: Readonly<Record<ExplainAnswer["ways"][number]["fate"], Style>> = {
  protected: "green",
  delivered: "green",
  held: "yellow",
  dropped: "red",
  clear: "yellow",
  waits: "yellow",
};
