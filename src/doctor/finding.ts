/** What a check has to say, and facts that may be missing. */

export type FindingResult = "ok" | "warning" | "problem" | "notChecked";

export interface Finding {
  readonly result: FindingResult;
  /** What is, in a sentence without a stop. Peer-supplied parts are escaped. */
  readonly text: string;
  /** What to do; for `notChecked`, what would make it possible. */
  readonly advice?: string;
}

/** A fact, or why it is not known. */
export type Known<T> = { readonly value: T } | { readonly unknown: string };

export function known<T>(value: T): Known<T> {
  return { value };
}

export function unknown(reason: string): { readonly unknown: string } {
  return { unknown: reason };
}

export const ok = (text: string): Finding => ({ result: "ok", text });
export const warning = (text: string, advice: string): Finding => ({ result: "warning", text, advice });
export const problem = (text: string, advice: string): Finding => ({ result: "problem", text, advice });
export const notChecked = (text: string): Finding => ({ result: "notChecked", text });

/** The verdict where the fact is there. */
export function given<T>(fact: Known<T>, judge: (value: T) => readonly Finding[]): readonly Finding[] {
  return "value" in fact ? judge(fact.value) : [notChecked(fact.unknown)];
}

/** Findings other than ok, or one that says that all is well. */
export function orOk(findings: readonly Finding[], text: string): readonly Finding[] {
  return findings.length === 0 ? [ok(text)] : findings;
}
