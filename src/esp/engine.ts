/** What the data plane needs of a crypto engine: keys by slot, whole batches at a time. Native code and a TypeScript twin do it. */
import type { FrameBatch } from "../base/frame-batch.ts";
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
   * Makes ESP packets of frames, one directly behind the other in the arena of `packets` (RFC 4303 section 3.3), from the
   * frame and packet that `frames.cursor` names until there are no more or `packets` is full; the cursor says where the
   * next call goes on. Each packet of a frame gets SPI, sequence number, IV, what is behind `strip`, zeros up to `padTo`,
   * padding, trailer with `nextHeader`, and ICV. The sequence numbers of a frame are taken from its slot at once, as many
   * as there are; packets without one are not made [ESP-02] [ESP-03].
   *
   * Sets `status` and `sealed` of the frames that were handled, and `count`, `offset`, `length`, `frame`, `endpoint`,
   * `tos` and `status` of `packets`. A frame that is cut short by the end of the numbers has PACKET_SEQUENCE_EXHAUSTED.
   */
  seal(frames: FrameBatch, packets: PacketBatch): void;
  /**
   * Verifies and decrypts ESP packets in place (RFC 4303 section 3.4.4). On entry packet `i` starts at its SPI, and
   * `sequenceHigh` holds the upper half that ESN adds. On success `offset` and `length` span the plaintext with its
   * trailer; on failure there are zeros in its place. [ESP-12] [ESP-13]
   */
  open(batch: PacketBatch): void;
  /**
   * Numbers and authenticates whole IP packets, as AH's integrity check sees them, with slots that have no cipher (RFC 4302
   * section 3.3). On entry packet `i` has zeros for sequence number and ICV, `frame[i]` is the octet of the packet at which AH
   * begins, and there is room for the ICV behind the packet. Takes the slot's next number, writes its lower half into AH,
   * writes the ICV behind the packet, and sets `status` [AH-09]. Such packets are verified by {@link open}, with the ICV
   * that came behind them.
   */
  authenticate(batch: PacketBatch): void;
}
