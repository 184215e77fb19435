/** Makes text that strangers chose safe to print: no terminal commands, no line breaks, no reversed direction. */

/** Characters of foreign text that are shown; identities and vendor words are shorter. */
export const FOREIGN_TEXT_LENGTH_MAX = 200;

/**
 * Controls (C0, DEL, C1), line and paragraph separators, marks and overrides of direction, invisible joiners, tags,
 * private use, surrogates that stand alone, and the backslash that the escapes themselves begin with.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\\]/gu;

/** The text on one line; what could command a terminal or mislead a reader becomes `\u{1b}`. */
export function escapeForeign(text: string): string {
  const shown = text.length > FOREIGN_TEXT_LENGTH_MAX ? text.slice(0, FOREIGN_TEXT_LENGTH_MAX) : text;
  const escaped = shown.replace(UNSAFE, (character) =>
    character === "\\" ? "\\\\" : `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return shown.length < text.length ? `${escaped}...` : escaped;
}
