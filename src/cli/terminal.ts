/** What is known of the terminal that the output goes to, and how text is laid out for it. */

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  readonly hasColours: boolean;
}

/** Lays out for `columns`, any length without them; `paint` adds colour to what is laid out already. */
export interface Screen {
  readonly columns?: number;
  readonly paint: Paint;
}

export type Style = keyof typeof SGR;
export type Paint = (style: Style, text: string) => string;

const SGR = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** Also what a terminal has that does not tell. */
const COLUMNS_LEAST = 40;

export function screenOf(terminal: Terminal | undefined): Screen {
  if (terminal === undefined) return { paint: unpainted };
  return {
    columns: Math.max(terminal.columns, COLUMNS_LEAST),
    paint: terminal.hasColours ? painted : unpainted,
  };
}

/** @param output - of the process; `undefined`: it is no terminal */
export function terminalOf(
  output: { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number },
  environment: Readonly<NodeJS.ProcessEnv>,
): Terminal | undefined {
  if (output.isTTY !== true) return undefined;
  const { NO_COLOR, TERM } = environment;
  return {
    columns: output.columns || 80,
    rows: output.rows || 24,
    hasColours: (NO_COLOR === undefined || NO_COLOR === "") && TERM !== "dumb",
  };
}

function unpainted(_style: Style, text: string): string {
  return text;
}

function painted(style: Style, text: string): string {
  return `\u001b[${SGR[style]}m${text}\u001b[0m`;
}

/** Without characters that could command the terminal. */
export function printable(line: string): string {
  return line.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "?");
}

/**
 * Breaks a line before `columns`, at wide gaps first, then between words, and within a word that is longer than a line;
 * what follows is indented by `indent`.
 * @param keep - characters at its front that stay together: a name and what belongs beside it
 */
export function wrap(line: string, columns: number | undefined, indent: number, keep = 0): string[] {
  if (columns === undefined || line.length <= columns) return [line];
  const hanging = " ".repeat(Math.min(indent, columns >> 1));
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const start = Math.max(rest.length - rest.trimStart().length, lines.length === 0 ? keep : 0);
    const gap = lastGap(rest, start, columns);
    lines.push(rest.slice(0, gap).trimEnd());
    rest = hanging + rest.slice(gap).trimStart();
  }
  return [...lines, rest];
}

/** Where to break text that begins at `start`. */
function lastGap(text: string, start: number, columns: number): number {
  const wide = text.lastIndexOf("   ", columns);
  if (wide > start) return wide;
  const space = text.lastIndexOf(" ", columns);
  return space > start ? space : columns;
}
