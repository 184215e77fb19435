/** Whether the configuration file still holds what runs: looked at now and then, read when it has come to rest. */
import { statSync } from "node:fs";
import type { ConfigurationStatus } from "../control/reload-schema.ts";

/** How often the file is looked at. */
const LOOK_MS = 2_000;

/** What reading it again came to. */
export type Finding = Pick<ConfigurationStatus, "onDisk" | "text">;

export interface ConfigurationWatchOptions {
  /** Absolute. */
  readonly file: string;
  /** Reads the file and holds it against what runs; `undefined`: not now, a reload is under way. */
  readonly compare: () => Promise<Finding | undefined>;
  /** Something else is the case than before. */
  readonly onFinding: (finding: Finding) => void;
}

export class ConfigurationWatch {
  readonly #options: ConfigurationWatchOptions;
  readonly #timer: NodeJS.Timeout;
  /** As read last, and as seen last. */
  #read: string;
  #seen: string;
  #found: Finding = { onDisk: "same" };
  #isReading = false;

  constructor(options: ConfigurationWatchOptions) {
    this.#options = options;
    this.#read = this.#mark();
    this.#seen = this.#read;
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What is known; asks for no reading. */
  get finding(): Finding {
    return this.#mark() === this.#read ? this.#found : { onDisk: "unread" };
  }

  /** What runs has changed: the file is read again at the next look. */
  readAgain(): void {
    this.#read = "";
  }

  async look(): Promise<void> {
    if (this.#isReading) return;
    const mark = this.#mark();
    const isAtRest = mark === this.#seen;
    this.#seen = mark;
    if (!isAtRest || mark === this.#read) return;
    this.#isReading = true;
    try {
      const finding = await this.#options.compare();
      if (finding === undefined) return;
      this.#read = mark;
      const { onDisk, text } = this.#found;
      this.#found = finding;
      if (finding.onDisk !== onDisk || finding.text !== text) this.#options.onFinding(finding);
    } finally {
      this.#isReading = false;
    }
  }

  #mark(): string {
    const status = statSync(this.#options.file, { throwIfNoEntry: false });
    return status === undefined ? "-" : `${status.ino}:${status.size}:${status.mtimeMs}:${status.ctimeMs}`;
  }
}
