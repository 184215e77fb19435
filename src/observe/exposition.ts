/** Prometheus' text format, version 0.0.4: families of samples, each with its help and its type. */

export type MetricType = "counter" | "gauge";

/** As {@link labelText} writes them; empty: none. */
export type LabelText = string;

export type Sample = readonly [labels: LabelText, value: number];

/** `{connection="paris",child="lan"}`, values escaped. @param labels - names are the caller's own words */
export function labelText(labels: Readonly<Record<string, string | number>>): LabelText {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** The format knows these three; other controls are replaced, for nothing of ours has a reason to hold one. */
function escaped(value: string): string {
  // With thousands of connections most of the work would be to find nothing.
  if (/^[\w#./-]*$/.test(value)) return value;
  return value
    .replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`))
    .replace(/\p{Cc}/gu, "?");
}

export class Exposition {
  readonly #lines: string[] = [];

  /** A family whose samples are all there are of this name; one without samples is left out. */
  add(name: string, type: MetricType, help: string, samples: readonly Sample[]): void {
    if (samples.length === 0) return;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of samples) this.#lines.push(`${name}${labels} ${valueText(value)}`);
  }

  /** A family with one sample and no labels. */
  one(name: string, type: MetricType, help: string, value: number | undefined): void {
    if (value !== undefined) this.add(name, type, help, [["", value]]);
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function valueText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
