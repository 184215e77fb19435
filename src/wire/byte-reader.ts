/** Reads big-endian numbers and octet strings from a span of octets, and never outside of it. */
import { WireError } from "./wire-error.ts";

/** A cursor over `bytes[start .. end)`. What it returns as octets are views that alias the input. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  /** @throws {RangeError} unless `0 <= start <= end <= bytes.length` */
  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    if (!(start >= 0 && start <= end && end <= bytes.length)) {
      throw new RangeError(`no span ${start} to ${end} in ${bytes.length} octets`);
    }
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Octet of the whole input that is read next. */
  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  /** @throws {@link WireError} `WIRE_TRUNCATED` at the end of the span, as do all readers below */
  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  u32(): number {
    const at = this.#take(4);
    const low = (this.#bytes[at + 1]! << 16) | (this.#bytes[at + 2]! << 8) | this.#bytes[at + 3]!;
    return this.#bytes[at]! * 0x1000000 + low;
  }

  /** The next `length` octets, as a view of the input. */
  octets(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** All octets that are left, as a view of the input. */
  rest(): Uint8Array {
    return this.octets(this.remaining);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** A reader of the next `length` octets, which this one passes over. */
  span(length: number): ByteReader {
    const at = this.#take(length);
    return new ByteReader(this.#bytes, at, at + length);
  }

  /** @throws {@link WireError} `WIRE_BAD_LENGTH` when octets of the span are left; `what` names the structure */
  expectEnd(what: string): void {
    if (this.remaining !== 0) {
      throw this.error("WIRE_BAD_LENGTH", `${this.remaining} octets are left behind ${what}`);
    }
  }

  /** An error about the octet that is read next. */
  error(code: WireError["code"], message: string): WireError {
    return new WireError(code, this.#at, message);
  }

  #take(length: number): number {
    if (!(length >= 0 && length <= this.#end - this.#at)) {
      throw new WireError(
        "WIRE_TRUNCATED",
        this.#at,
        `${length} octets are announced at octet ${this.#at}, ${this.#end - this.#at} are there`,
      );
    }
    const at = this.#at;
    this.#at = at + length;
    return at;
  }
}
