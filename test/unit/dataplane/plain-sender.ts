/** An ESP sender that may send what a gateway never would: any padding, next header and payload, properly sealed. */
import { encrAlgorithm, sealAead } from "../../../src/crypto/encr.ts";
import { Encr } from "../../../src/wire/ike/registries.ts";

export interface SealOptions {
  readonly nextHeader?: number;
  /** Pad length field; the least that aligns to four octets unless told. */
  readonly padLength?: number;
  /** In place of 1, 2, 3 and so on. */
  readonly padding?: Uint8Array;
}

/** Speaks aes256gcm16 with ESN and the keys that `makePair` gives to what A sends. */
export class PlainSender {
  readonly #spi: number;
  #sequence = 0;

  constructor(spi: number) {
    this.#spi = spi;
  }

  seal(payload: Uint8Array, options: SealOptions): Uint8Array {
    const { nextHeader = 4 } = options;
    const least = -(payload.length + 2) & 3;
    const length = options.padding?.length ?? options.padLength ?? least;
    const padding = options.padding ?? Uint8Array.from({ length }, (_, i) => i + 1);
    const plaintext = Uint8Array.of(...payload, ...padding, options.padLength ?? padding.length, nextHeader);
    const aad = new DataView(new ArrayBuffer(12));
    aad.setUint32(0, this.#spi);
    aad.setUint32(8, ++this.#sequence);
    const iv = new Uint8Array(8);
    iv[7] = this.#sequence;
    iv[6] = this.#sequence >> 8;
    const key = new Uint8Array(36).fill(0x40);
    const sealed = sealAead(
      encrAlgorithm(Encr.AES_GCM_16, 256)!,
      key,
      iv,
      new Uint8Array(aad.buffer),
      plaintext,
    );
    const header = new Uint8Array(8);
    new DataView(header.buffer).setUint32(0, this.#spi);
    new DataView(header.buffer).setUint32(4, this.#sequence);
    return Uint8Array.of(...header, ...iv, ...sealed);
  }
}
