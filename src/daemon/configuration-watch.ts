/** Whether the configuration file and the secrets it names still are what runs: looked at now and then, read when they have come to rest. */
import type { ConfigurationStatus } from "../control/reload-schema.ts";
import { fileMark } from "./file-mark.ts";

/** How often the file is looked at. */
const LOOK_MS = 2_000;

/** What reading it again came to. */
export type Finding = Pick<ConfigurationStatus, "onDisk" | "text">;

export interface ConfigurationWatchOptions {
  /** Absolute. */
  readonly file: string;
  /** Absolute paths of the secrets of what runs. */
  readonly secrets: () => readonly string[];
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
  /** The configuration file alone, which whoever asks may have written just now. */
  #readFile: string;
  #found: Finding = { onDisk: "same" };
  #isReading = false;

  constructor(options: ConfigurationWatchOptions) {
    this.#options = options;
    this.#read = this.#marks();
    this.#seen = this.#read;
    this.#readFile = fileMark(options.file);
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What is known; asks for no reading. */
  get finding(): Finding {
    return fileMark(this.#options.file) === this.#readFile ? this.#found : { onDisk: "unread" };
  }

  /** What runs has changed: the file is read again at the next look. */
  readAgain(): void {
    this.#read = "";
    this.#readFile = "";
  }

  async look(): Promise<void> {
    if (this.#isReading) return;
    const file = fileMark(this.#options.file);
    const marks = this.#marks();
    const isAtRest = marks === this.#seen;
    this.#seen = marks;
    if (!isAtRest || marks === this.#read) return;
    this.#isReading = true;
    try {
      const finding = await this.#options.compare();
      if (finding === undefined) return;
      this.#read = marks;
      this.#readFile = file;
      const { onDisk, text } = this.#found;
      this.#found = finding;
      if (finding.onDisk !== onDisk || finding.text !== text) this.#options.onFinding(finding);
    } finally {
      this.#isReading = false;
    }
  }

  #marks(): string {
    return [this.#options.file, ...this.#options.secrets()].map(fileMark).join();
  }
}
