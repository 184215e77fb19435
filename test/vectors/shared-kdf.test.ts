/** All of NIST's IKEv2 key derivation samples, where they are. */
import { expect, test } from "vitest";
import { type PrfAlgorithm, prfAlgorithm } from "../../src/crypto/prf.ts";
import { Prf } from "../../src/wire/ike/registries.ts";
import { derivedValues, type KdfCase } from "./kdf-case.ts";
import { sharedAreAbsent, sharedJson } from "./vector-file.ts";

interface SharedKdf {
  readonly groups: readonly {
    readonly prf: string;
    readonly tests: readonly {
      readonly ni: string;
      readonly nr: string;
      readonly g_ir: string;
      readonly g_ir_new: string;
      readonly spi_i: string;
      readonly spi_r: string;
      readonly skeyseed: string;
      readonly dkm: string;
      readonly dkm_child_sa: string;
      readonly dkm_child_sa_dh: string;
      readonly skeyseed_rekey: string;
    }[];
  }[];
}

const PRFS: Readonly<Record<string, PrfAlgorithm>> = {
  PRF_HMAC_SHA1: prfAlgorithm(Prf.HMAC_SHA1)!,
  PRF_HMAC_SHA2_256: prfAlgorithm(Prf.HMAC_SHA2_256)!,
  PRF_HMAC_SHA2_384: prfAlgorithm(Prf.HMAC_SHA2_384)!,
  PRF_HMAC_SHA2_512: prfAlgorithm(Prf.HMAC_SHA2_512)!,
};

test.skipIf(sharedAreAbsent)("[AUTH-01] [CHILD-02] the 180 samples of CAVS 17.3", () => {
  let count = 0;
  for (const group of sharedJson<SharedKdf>("kdf/ikev2-cavp.json").groups)
    for (const sample of group.tests) {
      const vector: KdfCase = {
        name: group.prf,
        ni: sample.ni,
        nr: sample.nr,
        gir: sample.g_ir,
        girNew: sample.g_ir_new,
        spiI: sample.spi_i,
        spiR: sample.spi_r,
        skeyseed: sample.skeyseed,
        dkm: sample.dkm,
        dkmChild: sample.dkm_child_sa,
        dkmChildKe: sample.dkm_child_sa_dh,
        skeyseedRekey: sample.skeyseed_rekey,
      };
      expect(derivedValues(PRFS[group.prf]!, vector)).toEqual({
        skeyseed: sample.skeyseed,
        dkm: sample.dkm,
        dkmChild: sample.dkm_child_sa,
        dkmChildKe: sample.dkm_child_sa_dh,
        skeyseedRekey: sample.skeyseed_rekey,
      });
      count++;
    }
  expect(count).toBe(180);
});
