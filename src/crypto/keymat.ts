/** Key derivations of IKEv2: SKEYSEED, the SK values, KEYMAT, and what AUTH is computed over (RFC 7296 sections 2.14, 2.15, 2.17, 2.18). */
import { concat, fromHex, utf8, wipe } from "../base/bytes.ts";
import type { IkeSpi } from "../base/spi.ts";
import { type PrfAlgorithm, prf, prfPlus } from "./prf.ts";

/** Ni and Nr of the exchange, 16 to 256 octets each; `initiator` is who began that exchange. */
export interface NoncePair {
  readonly initiator: Uint8Array;
  readonly responder: Uint8Array;
}

/** SPIi and SPIr of the IKE SA that the keys are for. */
export interface SpiPair {
  readonly initiator: IkeSpi;
  readonly responder: IkeSpi;
}

/** Octets that the negotiated transforms take; `integ` is 0 with a combined-mode cipher [ENC-08]. */
export interface IkeKeyLengths {
  readonly encr: number;
  readonly integ: number;
}

/** SK_d to SK_pr (RFC 7296 section 2.14). SK_ei and SK_er end in the salt where the cipher takes one [ENC-08]. */
export interface IkeKeys {
  readonly skD: Uint8Array;
  readonly skAi: Uint8Array;
  readonly skAr: Uint8Array;
  readonly skEi: Uint8Array;
  readonly skEr: Uint8Array;
  readonly skPi: Uint8Array;
  readonly skPr: Uint8Array;
}

/** Keys of one direction of a child SA. */
interface ChildKeys {
  /** Cipher key, then its salt. */
  readonly encr: Uint8Array;
  /** Empty with a combined-mode cipher. */
  readonly integ: Uint8Array;
}

/** Keys by who sends with them: the initiator or the responder of the exchange that made the child SA. */
export interface ChildKeyPair {
  readonly initiator: ChildKeys;
  readonly responder: ChildKeys;
}

/** What the PSK is mixed with: 17 octets of ASCII without a terminator [AUTH-05]. */
const KEY_PAD = utf8("Key Pad for IKEv2");

/** SKEYSEED of a new IKE SA: prf(Ni | Nr, g^ir), `outputLength` octets (RFC 7296 section 2.14) [AUTH-02]. */
export function skeyseed(alg: PrfAlgorithm, nonces: NoncePair, sharedSecret: Uint8Array): Uint8Array {
  const key = concat(
    nonces.initiator.subarray(0, alg.nonceOctetsInKey),
    nonces.responder.subarray(0, alg.nonceOctetsInKey),
  );
  return prf(alg, key, sharedSecret);
}

/**
 * SKEYSEED of an IKE SA that replaces another: prf(SK_d(old), g^ir | Ni | Nr) (RFC 7296 section 2.18) [CHILD-14].
 * @param oldAlg - the PRF of the SA that is replaced
 * @param further - secrets of additional key exchanges, which come last (RFC 9370 section 2.2.4) [PQ-18]
 */
export function rekeyedSkeyseed(
  oldAlg: PrfAlgorithm,
  skD: Uint8Array,
  sharedSecret: Uint8Array,
  nonces: NoncePair,
  further: readonly Uint8Array[] = [],
): Uint8Array {
  return prf(oldAlg, skD, sharedSecret, nonces.initiator, nonces.responder, ...further);
}

/** Cuts prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) into the seven keys, in the RFC's order [AUTH-01]. */
export function deriveIkeKeys(
  alg: PrfAlgorithm,
  skeyseedValue: Uint8Array,
  nonces: NoncePair,
  spis: SpiPair,
  lengths: IkeKeyLengths,
): IkeKeys {
  const seed = concat(nonces.initiator, nonces.responder, fromHex(spis.initiator), fromHex(spis.responder));
  const total = 3 * alg.keyLength + 2 * lengths.integ + 2 * lengths.encr;
  const octets = prfPlus(alg, skeyseedValue, seed, total);
  const next = cutter(octets);
  const keys: IkeKeys = {
    skD: next(alg.keyLength),
    skAi: next(lengths.integ),
    skAr: next(lengths.integ),
    skEi: next(lengths.encr),
    skEr: next(lengths.encr),
    skPi: next(alg.keyLength),
    skPr: next(alg.keyLength),
  };
  wipe(octets);
  return keys;
}

/**
 * KEYMAT of a child SA: prf+(SK_d, [g^ir |] Ni | Nr), cut initiator to responder first, encryption before integrity
 * (RFC 7296 section 2.17) [CHILD-02].
 * @param nonces - of the exchange that makes the child: those of IKE_SA_INIT for the first one
 * @param sharedSecret - of the child's own key exchange, when there was one
 * @param encrKeyLength - `keyLength` of the cipher
 * @param integKeyLength - `keyLength` of the integrity algorithm, or 0
 * @param further - secrets of additional key exchanges, which come last (RFC 9370 section 2.2.4) [PQ-18]
 */
export function deriveChildKeys(
  alg: PrfAlgorithm,
  skD: Uint8Array,
  nonces: NoncePair,
  sharedSecret: Uint8Array | undefined,
  encrKeyLength: number,
  integKeyLength: number,
  further: readonly Uint8Array[] = [],
): ChildKeyPair {
  const seed = concat(sharedSecret ?? new Uint8Array(0), nonces.initiator, nonces.responder, ...further);
  const octets = prfPlus(alg, skD, seed, 2 * (encrKeyLength + integKeyLength));
  const next = cutter(octets);
  const pair: ChildKeyPair = {
    initiator: { encr: next(encrKeyLength), integ: next(integKeyLength) },
    responder: { encr: next(encrKeyLength), integ: next(integKeyLength) },
  };
  wipe(seed, octets);
  return pair;
}

/**
 * The octets that a peer signs or computes AUTH over (RFC 7296 section 2.15) [AUTH-04].
 * @param message - the signer's own IKE_SA_INIT message as sent, from the header's first octet
 * @param peerNonce - nonce data of the other side: Nr for the initiator, Ni for the responder
 * @param skP - SK_pi for the initiator, SK_pr for the responder
 * @param idBody - the signer's ID payload without its generic header
 */
export function signedOctets(
  alg: PrfAlgorithm,
  message: Uint8Array,
  peerNonce: Uint8Array,
  skP: Uint8Array,
  idBody: Uint8Array,
): Uint8Array {
  return concat(message, peerNonce, prf(alg, skP, idBody));
}

/**
 * AUTH by a shared secret: prf(prf(secret, key pad), octets), `outputLength` octets (RFC 7296 section 2.15) [AUTH-05].
 * @param secret - the pre-shared key, or the MSK of an EAP method (section 2.16)
 */
export function pskAuth(alg: PrfAlgorithm, secret: Uint8Array, octets: Uint8Array): Uint8Array {
  const key = prf(alg, secret, KEY_PAD);
  const auth = prf(alg, key, octets);
  wipe(key);
  return auth;
}

/** Returns a function that copies the next octets out. */
function cutter(octets: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => {
    at += length;
    return octets.slice(at - length, at);
  };
}
