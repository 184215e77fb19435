/** What the data plane needs of a crypto engine: keys by slot, whole batches at a time. Native code and a TypeScript twin do it. */
import type { PacketBatch } from "../base/packet-batch.ts";

/** Main thread: puts keys where no script can read them again. */
export interface EspKeyStore {
  /**
   * Installs the keys of a slot whose record already names its transforms, and raises KEY_GENERATION.
   * Copies; the caller wipes.
   * @param encr - cipher key followed by its salt
   * @param integ - empty with combined-mode ciphers
   * @throws {RangeError} when the lengths do not fit the transforms or the transforms are not supported
   */
  install(slot: number, encr: Uint8Array, integ: Uint8Array): void;
  /** Overwrites the keys; sealing and opening with the slot fails from now on. */
  wipe(slot: number): void;
}

/** A lane's engine. */
export interface EspEngine {
  /**
   * Makes ESP packets in place (RFC 4303 section 3.3). On entry packet `i` is the plaintext with padding, pad length and
   * next header, a multiple of the slot's block size long, with room for SPI, sequence number and IV to its left and the
   * ICV to its right. Takes the sequence number from the slot, writes header and IV, encrypts, appends the ICV, and sets
   * `offset`, `length` and `status`.
   */
  seal(batch: PacketBatch): void;
  /**
   * Verifies and decrypts ESP packets in place (RFC 4303 section 3.4.4). On entry packet `i` starts at its SPI, and
   * `sequenceHigh` holds the upper half that ESN adds. On success `offset` and `length` span the plaintext with its
   * trailer; on failure the cell holds zeros in its place. [ESP-12] [ESP-13]
   */
  open(batch: PacketBatch): void;
}
