/** Signatures of the simulation: a digest of the key's name and the octets, which the public key, the same name, checks. */
import { equal, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { hmacSha256 } from "../../src/crypto/hash.ts";
import type { Work, WorkResult } from "../../src/ike/machine.ts";
import type { OwnAuthentication, PeerAuthentication, PrivateKeyId } from "../../src/policy/connection.ts";

export function ownKey(name: string): OwnAuthentication {
  return { kind: "pubkey", key: { id: name as PrivateKeyId, type: "p256", publicKey: utf8(name) } };
}

export function peerKeys(...names: readonly string[]): PeerAuthentication {
  return { kind: "pubkey", keys: names.map(utf8) };
}

export function solveSignature(work: Extract<Work, { kind: "sign" | "verifyPeer" }>): WorkResult {
  if (work.kind === "sign")
    return { kind: "signed", method: work.scheme.method, data: digest(work.key, work.octets) };
  const isProven = work.trust.keys.some((key) => equal(work.data, digest(fromUtf8(key), work.octets)));
  return isProven ? { kind: "peerVerified" } : { kind: "peerRefused", finding: { check: "signature" } };
}

function digest(key: string, octets: Uint8Array): Uint8Array {
  return hmacSha256(utf8(key), octets);
}
