/** Logs that explain a failed test: printed with it, and only then. */
const LINES = 25;
const witnesses = new Map<string, () => string>();

/** Registers what `log` gives under a name; the same name again replaces it. */
export function addWitness(name: string, log: () => string): void {
  witnesses.set(name, log);
}

/** The last lines of every log. */
export function testimony(): string {
  return [...witnesses]
    .map(([name, log]) => `--- ${name}\n${log().trimEnd().split("\n").slice(-LINES).join("\n")}`)
    .join("\n");
}
