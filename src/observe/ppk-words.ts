/** Words for IKE SAs that failed for want of a postquantum preshared key (RFC 8784). */
import { fromUtf8 } from "../base/bytes.ts";
import type { FailureNotice } from "../ike/notice.ts";
import { escapeForeign } from "./escape.ts";
import { atPlace, configuredName, peerText } from "./place-words.ts";

export function ppkRefused(notice: FailureNotice & { readonly code: "ppkRefused" }): readonly string[] {
  const peer = peerText(notice.remote);
  const key = `connections.${configuredName(notice.connection ?? "NAME")}.ppk`;
  switch (notice.reason) {
    case "notSupported":
      return [
        `${peer} has no postquantum preshared key for us, or cannot use any, and we require one`,
        `have it configured there, or write required: false below ${key}${atPlace(notice.place)} to go without`,
      ];
    case "notUsed":
      return [
        `${peer} uses no postquantum preshared key, and we require one`,
        `have it configured there under the same id, or write required: false below ${key}${atPlace(notice.place)} to go without`,
      ];
    case "unknown":
      return [
        `${peer} uses a postquantum preshared key that we do not have: ${notice.id === undefined ? "of an unknown kind" : escapeForeign(fromUtf8(notice.id))}`,
        `add it to ${key}${atPlace(notice.place)}, or correct the id on one of the two sides`,
      ];
    default:
      return notice.reason satisfies never;
  }
}
