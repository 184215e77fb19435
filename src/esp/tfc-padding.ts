/** Traffic flow confidentiality by padding inner packets to a length (RFC 4303 section 2.7). */

/**
 * Least octets of a payload, in front of ESP's own padding; never more than fit the path, since padding must not be what
 * makes a packet too big.
 * @param setting - as in the SA's slot: 0 pads nothing, TFC_PAD_TO_MTU to what the path takes, others to so many octets
 * @param mtu - largest payload that fits the path
 */
export function tfcLength(setting: number, mtu: number): number {
  return Math.min(setting, mtu);
}
