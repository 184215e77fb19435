/** The text of a manual child's state file: the first sequence number that was never handed out (RFC 4303 section 3.3.3). */

/** Numbers above this one are not counted exactly; no link lives long enough to come near. */
export const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

/** What the file of keys that were never used says. */
export const UNUSED_KEYS_TEXT = "next 1\n";

export function formatSequenceFile(next: number): string {
  return `next ${next}\n`;
}

/** The number, or `undefined` when the text is anything else: a torn write lacks the final newline. */
export function parseSequenceFile(text: string): number | undefined {
  const found = /^next ([1-9][0-9]{0,15})\n$/.exec(text);
  if (found === null) return undefined;
  const next = Number(found[1]);
  return next <= SEQUENCE_MAX ? next : undefined;
}
