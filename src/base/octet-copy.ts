/** Copies between arenas on the packet path: no view is made for each copy, and four octets go at a time. */

const NONE: Uint8Array = new Uint8Array(0);
const NO_VIEW: DataView = new DataView(NONE.buffer);

/** Remembers views of the two arenas that it copied between last, so that each pair of arenas deserves one of its own. */
export class OctetCopy {
  #from = NONE;
  #fromView = NO_VIEW;
  #to = NONE;
  #toView = NO_VIEW;

  /** Copies `from[at .. at + length)` to `to[toAt ..]`, which must not overlap. */
  run(from: Uint8Array, at: number, to: Uint8Array, toAt: number, length: number): void {
    if (from !== this.#from) {
      this.#from = from;
      this.#fromView = new DataView(from.buffer, from.byteOffset, from.byteLength);
    }
    if (to !== this.#to) {
      this.#to = to;
      this.#toView = new DataView(to.buffer, to.byteOffset, to.byteLength);
    }
    const fromView = this.#fromView;
    const toView = this.#toView;
    const whole = length & ~3;
    for (let i = 0; i < whole; i += 4) toView.setUint32(toAt + i, fromView.getUint32(at + i));
    for (let i = whole; i < length; i++) to[toAt + i] = from[at + i]!;
  }
}
