/** A terminal that a program draws on and reads keys from; it is as before however the program ends. */

export interface RawTerminal {
  readonly columns: number;
  readonly rows: number;
  /** Draws a whole screen. */
  draw(lines: readonly string[]): void;
  /** Puts everything back; may be called twice. */
  close(): void;
}

export interface RawTerminalOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** `q`, `up`, `down`, `interrupt` ... */
  readonly onKey: (key: string) => void;
  readonly onResize: () => void;
}

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const TO_END_OF_LINE = "\u001b[K";
const TO_END_OF_SCREEN = "\u001b[J";

const KEYS: Readonly<Record<string, string>> = {
  "\u0003": "interrupt",
  "\u0004": "interrupt",
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[5~": "pageUp",
  "\u001b[6~": "pageDown",
};
const ENDING = ["SIGTERM", "SIGHUP", "SIGINT"] as const;

export function openRawTerminal({ input, output, onKey, onResize }: RawTerminalOptions): RawTerminal {
  let isOpen = true;
  const take = (octets: Buffer) => {
    const text = octets.toString("utf8");
    if (KEYS[text] !== undefined) onKey(KEYS[text]);
    else for (const character of text) onKey(KEYS[character] ?? character);
  };
  const interrupt = () => onKey("interrupt");
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    input.off("data", take);
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    output.off("resize", onResize);
    for (const signal of ENDING) process.off(signal, interrupt);
    process.off("exit", close);
    output.write(LEAVE);
  };
  input.setRawMode(true);
  input.resume();
  input.on("data", take);
  // The other end of the terminal is gone.
  input.once("end", interrupt);
  output.on("resize", onResize);
  for (const signal of ENDING) process.on(signal, interrupt);
  process.on("exit", close);
  output.write(ENTER);
  return {
    get columns() {
      return output.columns || 80;
    },
    get rows() {
      return output.rows || 24;
    },
    draw(lines) {
      if (!isOpen) return;
      const text = lines.map((line) => `${line}${TO_END_OF_LINE}`).join("\r\n");
      output.write(`${HOME}${text}${TO_END_OF_SCREEN}`);
    },
    close,
  };
}
