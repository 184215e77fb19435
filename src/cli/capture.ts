/** `tungate capture`: what passes the running gateway, as a file that Wireshark reads. */
import type { IncomingMessage } from "node:http";
import { fromUtf8 } from "../base/bytes.ts";
import { openCapture, stopCapture } from "../control/capture-client.ts";
import { CAPTURE_SECRETS_TYPE, captureKey } from "../control/capture-schema.ts";
import { ControlError } from "../control/error.ts";
import { BlockType } from "../wire/capture/pcapng.ts";
import { lostOf, type PcapngBlock, PcapngReader, secretsOf } from "../wire/capture/pcapng-reader.ts";
import { type CaptureSink, type KeyFiles, makeKeyFiles, openSink } from "./capture-files.ts";
import type { CommandContext } from "./command-context.ts";
import { keyLine } from "./wireshark-keys.ts";

export interface CaptureOptions {
  readonly control: string;
  /** File, or `-` for the standard output. */
  readonly write: string;
  readonly connection?: string;
  readonly host?: string;
  readonly seconds?: number;
  readonly octetsMax?: number;
  readonly snap: number;
  /** Directory of a Wireshark profile to make. */
  readonly keys?: string;
}

/** @returns the exit status */
export async function capture(options: CaptureOptions, context: CommandContext): Promise<number> {
  const { control, write, keys, ...rest } = options;
  const keyFiles = keys === undefined ? undefined : makeKeyFiles(keys);
  const answer = await openCapture(control, { ...rest, keys: keyFiles !== undefined }).catch((error) => {
    keyFiles?.discard();
    throw error;
  });
  const stop = stopOnSignal(control, answer);
  const sink = openOrEnd(write, answer);
  try {
    const where = write === "-" ? "the standard output" : write;
    context.writeError(`capturing into ${where}; Ctrl-C ends it\n`);
    const file = new CaptureFile(sink, keyFiles);
    await file.take(answer);
    context.writeError(file.summary(where));
    return file.isComplete ? 0 : 1;
  } finally {
    answer.destroy();
    sink.close();
    stop();
  }
}

function openOrEnd(path: string, answer: IncomingMessage): CaptureSink {
  try {
    return openSink(path);
  } catch (error) {
    answer.destroy();
    throw error;
  }
}

/** The first signal lets the capture end in good order, a second one at once. @returns what forgets them */
function stopOnSignal(control: string, answer: IncomingMessage): () => void {
  let isAsked = false;
  const onSignal = () => {
    if (isAsked) answer.destroy();
    else stopCapture(control).catch(() => answer.destroy());
    isAsked = true;
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

class CaptureFile {
  readonly #sink: CaptureSink;
  readonly #keys: KeyFiles | undefined;
  #packets = 0;
  #lost = 0;
  #keysUnknown = 0;
  #hasStatistics = false;

  constructor(sink: CaptureSink, keys: KeyFiles | undefined) {
    this.#sink = sink;
    this.#keys = keys;
  }

  /** It has its end. */
  get isComplete(): boolean {
    return this.#hasStatistics;
  }

  async take(answer: IncomingMessage): Promise<void> {
    const reader = new PcapngReader();
    try {
      for await (const part of answer as AsyncIterable<Buffer>)
        for (const block of reader.take(part)) await this.#takeBlock(block);
    } catch (error) {
      if (isLostConnection(error)) return;
      throw error;
    }
  }

  async #takeBlock(block: PcapngBlock): Promise<void> {
    const secrets = secretsOf(block);
    if (secrets?.type === CAPTURE_SECRETS_TYPE) {
      this.#takeKey(secrets.secrets);
      return;
    }
    await this.#sink.write(block.octets);
    if (block.type === BlockType.PACKET) this.#packets++;
    if (block.type !== BlockType.STATISTICS) return;
    this.#hasStatistics = true;
    this.#lost += lostOf(block);
  }

  /** They go to files of their own, and never into the capture. */
  #takeKey(secrets: Uint8Array): void {
    const parsed = captureKey.safeParse(JSON.parse(fromUtf8(secrets)));
    if (!parsed.success)
      throw new ControlError("CONTROL_BAD_ANSWER", "the daemon sent a key of an unknown kind");
    const line = keyLine(parsed.data);
    if (line === undefined) this.#keysUnknown++;
    else this.#keys?.add(line);
  }

  summary(where: string): string {
    const lost =
      this.#lost === 0 ? "none lost" : `${this.#lost} lost, since they came faster than they were written`;
    const cut = this.isComplete
      ? ""
      : "the daemon ended the connection before the capture's end; look at its log\n";
    const unknown =
      this.#keysUnknown === 0
        ? ""
        : `keys of ${this.#keysUnknown} SAs are left out: Wireshark does not know their cipher\n`;
    return `${cut}${unknown}${this.#packets} packets in ${where}, ${lost}\n`;
  }
}

function isLostConnection(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && (error.code === "ECONNRESET" || error.code === "ABORT_ERR")
  );
}
