/** Settings of how IKE messages travel: fragments (RFC 7383) and changes of address (RFC 4555). */
import { integer, Refusal, shown } from "./leaf.ts";

/** Octets of an IP packet: what IPv4 carries everywhere, and the largest that makes sense. */
const FRAGMENT_PACKET_LEAST = 576;
const FRAGMENT_PACKET_MOST = 9000;

/** People write yes and no as well; in YAML 1.2 those are texts. */
function switched(value: unknown): boolean | undefined {
  if (value === true || value === "yes") return true;
  return value === false || value === "no" ? false : undefined;
}

/** `fragmentation`: `undefined` is the default size. */
export function fragmentation(value: unknown): "off" | number | undefined {
  const on = switched(value);
  if (on !== undefined) return on ? undefined : "off";
  if (typeof value !== "number")
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is not known; write true, false, or the octets of the largest packet`,
    );
  return integer(value, "the octets of the largest packet", FRAGMENT_PACKET_LEAST, FRAGMENT_PACKET_MOST);
}

export function mobike(value: unknown): boolean {
  const on = switched(value);
  if (on === undefined)
    throw new Refusal("CONFIG_BAD_VALUE", `${shown(value)} is not known; write true or false`);
  return on;
}
