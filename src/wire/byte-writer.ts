/** Writes big-endian numbers and octet strings into memory that grows. */

const INITIAL_CAPACITY = 512;

/** Collects octets; a value that its field cannot hold is refused, never cut. */
export class ByteWriter {
  #bytes = new Uint8Array(INITIAL_CAPACITY);
  #length = 0;

  /** Octets written so far. */
  get length(): number {
    return this.#length;
  }

  /** @throws {RangeError} when `value` is no uint8; likewise the writers below */
  u8(value: number): void {
    requireUint(value, 0xff);
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#grow(2);
    this.patchU16(at, value);
  }

  u32(value: number): void {
    requireUint(value, 0xffffffff);
    const at = this.#grow(4);
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
  }

  octets(octets: Uint8Array): void {
    const at = this.#grow(octets.length);
    this.#bytes.set(octets, at);
  }

  zeros(count: number): void {
    this.#grow(count);
  }

  /** Overwrites two octets that were written before, such as a length known afterwards. */
  patchU16(at: number, value: number): void {
    requireUint(value, 0xffff);
    this.#bytes[at] = value >>> 8;
    this.#bytes[at + 1] = value;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Overwrites what was written with zeros: it may have been a secret, and nobody else gets at this memory. */
  wipe(): void {
    this.#bytes.fill(0);
  }

  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.wipe();
      this.#bytes = larger;
    }
    this.#length = needed;
    return at;
  }
}

function requireUint(value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new RangeError(`${value} does not fit a field of 0 to ${most}`);
  }
}
