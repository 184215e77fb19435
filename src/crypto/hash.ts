/** Hashes of the protocol outside the negotiated transforms. */
import { provider } from "./providers/selected.ts";

/**
 * SHA-1 of the parts, 20 octets. Only where the protocol fixes it and nothing rests on collisions: NAT detection
 * (RFC 7296 section 2.23), the key hashes of CERTREQ (section 3.7), and names of certificates in OCSP (RFC 6960).
 */
export function sha1(...parts: readonly Uint8Array[]): Uint8Array {
  return provider.hash("sha1", parts);
}

/** HMAC-SHA2-256 of the parts, 32 octets, for what only this gateway reads back: cookies (RFC 7296 section 2.6). */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return provider.hmac("sha256", key, parts);
}

/** SHA2-256 of the parts, 32 octets. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return provider.hash("sha256", parts);
}
