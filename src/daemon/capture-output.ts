/** What a capture has made and its client has not read yet: bounded, and never waited for. */

/** Octets that may wait. */
export const CAPTURE_BUFFER_OCTETS = 8 * 1024 * 1024;
/** Octets that are handed over at once. */
const CHUNK_OCTETS = 256 * 1024;

export class CaptureOutput {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #blocks: Uint8Array[] = [];
  #octets = 0;
  /** Whoever reads waits. */
  #wanted: (() => void) | undefined;
  #isEnded = false;
  /** Milliseconds of `performance.now()` at which somebody read last. */
  readAt = performance.now();

  /** @param onGone - the client reads no more */
  constructor(onGone: () => void) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          this.readAt = performance.now();
          if (this.#blocks.length === 0 && !this.#isEnded)
            await new Promise<void>((resolve) => {
              this.#wanted = resolve;
            });
          this.readAt = performance.now();
          const chunk = this.#takeChunk();
          if (chunk !== undefined) controller.enqueue(chunk);
          else controller.close();
        },
        cancel: () => {
          this.#isEnded = true;
          onGone();
        },
      },
      { highWaterMark: 0 },
    );
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** @returns false when there is no room for it */
  offer(block: Uint8Array): boolean {
    if (this.#octets + block.length > CAPTURE_BUFFER_OCTETS) return false;
    this.append(block);
    return true;
  }

  /** Whatever waits already: for the few blocks that a file cannot be without. */
  append(block: Uint8Array): void {
    if (this.#isEnded) return;
    this.#blocks.push(block);
    this.#octets += block.length;
    this.#wake();
  }

  /** The stream ends behind what was offered. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  #wake(): void {
    this.#wanted?.();
    this.#wanted = undefined;
  }

  #takeChunk(): Uint8Array | undefined {
    let count = 0;
    let octets = 0;
    for (const { length } of this.#blocks) {
      if (count > 0 && octets + length > CHUNK_OCTETS) break;
      count++;
      octets += length;
    }
    if (count === 0) return undefined;
    this.#octets -= octets;
    const taken = this.#blocks.splice(0, count);
    return Buffer.concat(taken, octets);
  }
}
