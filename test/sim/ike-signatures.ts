/** Signatures of the simulation, with keys that a seed makes: everything but the thread is what production runs. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { schemeText, signAuth } from "../../src/crypto/auth-signature.ts";
import { importPrivateKey, type PrivateKey } from "../../src/crypto/private-key.ts";
import type { RsaPadding, SigningKeyType } from "../../src/crypto/signature-scheme.ts";
import { NOTHING_FETCHED, verifyPeer } from "../../src/ike/auth/verify-peer.ts";
import type { Work, WorkResult } from "../../src/ike/machine.ts";
import type {
  OwnAuthentication,
  OwnKey,
  PeerAuthentication,
  PrivateKeyId,
} from "../../src/policy/connection.ts";

/** Milliseconds since 1970 in the simulation. */
export const WALL_CLOCK = Date.UTC(2026, 10, 21);

const keys = new Map<string, PrivateKey>();

/** The key of this name, made when it is first asked for. */
export function keyNamed(name: string, type: SigningKeyType = "p256"): PrivateKey {
  let key = keys.get(name);
  if (key === undefined) {
    key = importPrivateKey(new Uint8Array(generate(type).export({ format: "der", type: "pkcs8" })));
    keys.set(name, key);
  }
  return key;
}

function generate(type: SigningKeyType): KeyObject {
  switch (type) {
    case "rsa":
      return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    case "p256":
    case "p384":
    case "p521": {
      const namedCurve = { p256: "prime256v1", p384: "secp384r1", p521: "secp521r1" }[type];
      return generateKeyPairSync("ec", { namedCurve }).privateKey;
    }
    case "ed25519":
      return generateKeyPairSync("ed25519").privateKey;
    case "ed448":
      return generateKeyPairSync("ed448").privateKey;
    default:
      return type satisfies never;
  }
}

export function ownKeyNamed(
  name: string,
  type: SigningKeyType = "p256",
  padding: RsaPadding = "pss",
): OwnKey {
  return { id: name as PrivateKeyId, type, padding, publicKey: keyNamed(name, type).publicKey };
}

export function ownKey(name: string, type?: SigningKeyType, padding?: RsaPadding): OwnAuthentication {
  return { kind: "pubkey", key: ownKeyNamed(name, type, padding) };
}

export function peerKeys(...names: readonly string[]): PeerAuthentication {
  return { kind: "pubkey", keys: names.map((name) => keyNamed(name).publicKey) };
}

export function solveSignature(work: Extract<Work, { kind: "sign" | "verifyPeer" }>): WorkResult {
  if (work.kind === "verifyPeer") return verifyPeer(work, WALL_CLOCK, NOTHING_FETCHED) as WorkResult;
  const key = keys.get(work.key);
  if (key === undefined) return { kind: "failed", reason: "no such key" };
  const data = signAuth(key.handle, work.scheme, work.octets);
  return { kind: "signed", method: work.scheme.method, data, scheme: schemeText(work.scheme) };
}
