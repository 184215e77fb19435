/** Where random octets come from; an argument everywhere, so that a seed replays a run. */
export interface RandomSource {
  /** Octets that go out on the wire: SPIs, nonces, cookies, IVs. */
  publicBytes(length: number): Uint8Array;
  /** Octets that stay secret: private keys, cookie secrets. */
  secretBytes(length: number): Uint8Array;
  /** A uniform number in [0, 1), for jitter. */
  fraction(): number;
}
