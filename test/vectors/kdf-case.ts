/** One case of NIST's IKEv2 key derivation test, and what this project makes of its inputs. */
import { concat, fromHex, toHex } from "../../src/base/bytes.ts";
import { IkeSpi } from "../../src/base/spi.ts";
import { deriveChildKeys, deriveIkeKeys, rekeyedSkeyseed, skeyseed } from "../../src/crypto/keymat.ts";
import type { PrfAlgorithm } from "../../src/crypto/prf.ts";

export interface KdfCase {
  readonly name: string;
  readonly ni: string;
  readonly nr: string;
  readonly gir: string;
  readonly girNew: string;
  readonly spiI: string;
  readonly spiR: string;
  readonly skeyseed: string;
  readonly dkm: string;
  readonly dkmChild: string;
  readonly dkmChildKe: string;
  readonly skeyseedRekey: string;
}

export function printedValues(vector: KdfCase) {
  const { skeyseed, dkm, dkmChild, dkmChildKe, skeyseedRekey } = vector;
  return { skeyseed, dkm, dkmChild, dkmChildKe, skeyseedRekey };
}

/** The same values from the public functions: keys are cut so that together they span what NIST prints. */
export function derivedValues(alg: PrfAlgorithm, vector: KdfCase) {
  const nonces = { initiator: fromHex(vector.ni), responder: fromHex(vector.nr) };
  const spis = { initiator: IkeSpi(fromHex(vector.spiI)), responder: IkeSpi(fromHex(vector.spiR)) };
  const girNew = fromHex(vector.girNew);
  const seed = skeyseed(alg, nonces, fromHex(vector.gir));

  // Where NIST prints enough, the seven keys together are just what it prints.
  const room = Math.max(48, vector.dkm.length / 2 - 3 * alg.outputLength);
  const integ = Math.floor(room / 6);
  const encr = room / 2 - integ;
  const keys = deriveIkeKeys(alg, seed, nonces, spis, { encr, integ });
  const { skD, skAi, skAr, skEi, skEr, skPi, skPr } = keys;
  const dkm = concat(skD, skAi, skAr, skEi, skEr, skPi, skPr);

  const childLength = vector.dkmChild.length / 2;
  const integChild = Math.floor(childLength / 6);
  const encrChild = childLength / 2 - integChild;
  const child = (girOfChild?: Uint8Array) => {
    const pair = deriveChildKeys(alg, skD, nonces, girOfChild, encrChild, integChild);
    const { initiator, responder } = pair;
    return toHex(concat(initiator.encr, initiator.integ, responder.encr, responder.integ));
  };
  return {
    skeyseed: toHex(seed),
    dkm: toHex(dkm).slice(0, vector.dkm.length),
    dkmChild: child(),
    dkmChildKe: child(girNew),
    skeyseedRekey: toHex(rekeyedSkeyseed(alg, skD, girNew, nonces)),
  };
}
