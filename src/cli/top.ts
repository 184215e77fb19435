/** `tungate top`: what each child carries, live. */
import { type ControlClient, createControlClient } from "../control/client.ts";
import type { CommandContext } from "./command-context.ts";
import { openRawTerminal, type RawTerminal } from "./raw-terminal.ts";
import { type Screen, screenOf, type Terminal } from "./terminal.ts";
import { TOP_SORTS, TopHistory, type TopSort, type TopState } from "./top-history.ts";
import { type TopView, topLines } from "./top-text.ts";

export interface TopOptions {
  readonly control: string;
  readonly once: boolean;
  readonly sort: TopSort;
}

const EVERY_MS = 1_000;

/** @returns the exit status */
export async function top({ control, once, sort }: TopOptions, context: CommandContext): Promise<number> {
  const client = createControlClient(control);
  if (once) {
    const history = new TopHistory();
    history.add(await client.traffic());
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    const state = history.add(await client.traffic());
    const view = { sort, offset: 0, isPaused: false };
    context.write(`${topLines(state, view, screenOf(context.terminal)).join("\n")}\n`);
    return 0;
  }
  const { terminal, environment } = context;
  if (terminal === undefined || !process.stdin.isTTY || environment["TERM"] === "dumb") {
    context.writeError("tungate: top draws on a terminal, and this is none; --once prints one look\n");
    return 1;
  }
  return new LiveTop(client, terminal, sort).run();
}

class LiveTop {
  readonly #client: ControlClient;
  readonly #history = new TopHistory();
  readonly #colours: boolean;
  #view: TopView;
  #state: TopState | undefined;
  #terminal: RawTerminal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #end: (status: number) => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(client: ControlClient, { hasColours }: Terminal, sort: TopSort) {
    this.#client = client;
    this.#colours = hasColours;
    this.#view = { sort, offset: 0, isPaused: false };
  }

  async run(): Promise<number> {
    // What is wrong from the start is said on the terminal as it is.
    this.#state = this.#history.add(await this.#client.traffic());
    const ended = new Promise<number>((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    this.#terminal = openRawTerminal({
      input: process.stdin,
      output: process.stdout,
      onKey: (key) => this.#onKey(key),
      onResize: () => this.#draw(),
    });
    try {
      this.#draw();
      this.#schedule();
      return await ended;
    } finally {
      clearTimeout(this.#timer);
      this.#terminal.close();
    }
  }

  /** One question at a time: a daemon that is busy is asked less often. */
  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#client.traffic().then((document) => {
        const state = this.#history.add(document);
        if (!this.#view.isPaused) this.#state = state;
        this.#draw();
        this.#schedule();
      }, this.#fail);
    }, EVERY_MS);
  }

  #draw(): void {
    const terminal = this.#terminal;
    if (terminal === undefined || this.#state === undefined) return;
    const { columns, rows } = terminal;
    const screen: Screen = screenOf({ columns, rows, hasColours: this.#colours });
    terminal.draw(topLines(this.#state, this.#view, screen, rows));
  }

  #onKey(key: string): void {
    const view = this.#view;
    const page = Math.max(1, (this.#terminal?.rows ?? 24) - 4);
    const scrolled = (by: number) => ({
      ...view,
      offset: Math.max(0, Math.min(view.offset + by, (this.#state?.rows.length ?? 1) - 1)),
    });
    const next: Readonly<Record<string, () => TopView>> = {
      s: () => ({ ...view, sort: TOP_SORTS[(TOP_SORTS.indexOf(view.sort) + 1) % TOP_SORTS.length]! }),
      " ": () => ({ ...view, isPaused: !view.isPaused }),
      up: () => scrolled(-1),
      k: () => scrolled(-1),
      down: () => scrolled(1),
      j: () => scrolled(1),
      pageUp: () => scrolled(-page),
      pageDown: () => scrolled(page),
    };
    if (key === "q" || key === "interrupt") this.#end(0);
    this.#view = next[key]?.() ?? view;
    this.#draw();
  }
}
