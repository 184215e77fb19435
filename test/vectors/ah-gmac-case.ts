/** The cases of ah-aes-gmac.json. */
import { fromHex } from "../../src/base/bytes.ts";
import { maskIpv4, maskIpv6 } from "../../src/wire/ah/mutable-fields.ts";

export interface AhGmacCase {
  readonly name: string;
  readonly integ: number;
  /** With the salt. */
  readonly key: string;
  readonly esn: boolean;
  /** In decimal, all of its bits. */
  readonly sequence: string;
  /** As it travels, from the IP header on. */
  readonly packet: string;
}

/** The packet as the integrity check sees it, the octet where AH begins, and the 24 octets that it has as authentication data. */
export function imageOf({ packet }: AhGmacCase): {
  readonly image: Uint8Array;
  readonly front: number;
  readonly sent: Uint8Array;
} {
  const image = fromHex(packet);
  const front = image[0]! >>> 4 === 4 ? 20 : 40;
  if (!(front === 20 ? maskIpv4(image, 0) : maskIpv6(image, 0, front))) throw new Error("no packet of AH");
  const sent = image.slice(front + 12, front + 36);
  image.fill(0, front + 20, front + 36);
  return { image, front, sent };
}
