/** The algorithms of an SA in the keywords of the configuration. */
import type { IkeSuite } from "../ike/connection-state.ts";
import type { EspSuite } from "../policy/data-plane.ts";
import { transformKeyword } from "../policy/proposal-keyword.ts";
import { TransformType } from "../wire/ike/registries.ts";

/** `aes256gcm16-prfsha384-x25519 + mlkem768 + ppk` */
export function ikeSuiteText({
  encr,
  encrKeyBits,
  integ,
  prf,
  ke,
  additionalKe = [],
  hasPpk,
}: IkeSuite): string {
  return [
    transformKeyword(TransformType.ENCR, encr, encrKeyBits),
    ...(integ === 0 ? [] : [transformKeyword(TransformType.INTEG, integ)]),
    transformKeyword(TransformType.PRF, prf),
    [
      ...[ke, ...additionalKe].map((id) => transformKeyword(TransformType.KE, id)),
      ...(hasPpk === true ? ["ppk"] : []),
    ].join(" + "),
  ].join("-");
}

/** `aes256gcm16-noesn`; the sequence numbers are always named, as a proposal without them means both. */
export function espSuiteText({ encr, encrKeyBits, integ, esn, protocol }: EspSuite): string {
  return [
    protocol ?? transformKeyword(TransformType.ENCR, encr, encrKeyBits),
    ...(integ === 0 ? [] : [transformKeyword(TransformType.INTEG, integ)]),
    transformKeyword(TransformType.ESN, esn ? 1 : 0),
  ].join("-");
}
