/** TOS and traffic class through a tunnel: DSCP by configuration (RFC 4301 section 5.1.2), ECN by RFC 6040. */
import { DSCP_COPY } from "../policy/sa-table.ts";

export const ECN_NOT_ECT = 0;
export const ECN_ECT_1 = 1;
export const ECN_ECT_0 = 2;
export const ECN_CE = 3;
/** The packet must be dropped: it cannot tell its receiver of the congestion [ECN-02]. */
export const ECN_DROP = -1;

/**
 * The outer octet for an inner one (RFC 6040 section 4.1) [ECN-01] [SPD-08].
 * @param dscp - 0..63, or DSCP_COPY
 * @param ecn - as in the SA's slot: 0 copies (normal mode), 1 clears (compatibility mode)
 */
export function outerTos(innerTos: number, dscp: number, ecn: number): number {
  const codePoint = dscp === DSCP_COPY ? innerTos & 0xfc : dscp << 2;
  return codePoint | (ecn === 0 ? innerTos & 3 : ECN_NOT_ECT);
}

/**
 * The inner octet after the outer one was taken off, or {@link ECN_DROP} (RFC 6040 section 4.2). The DSCP stays the inner
 * one, since the outer network may have changed its own.
 */
export function mergedTos(innerTos: number, outer: number): number {
  const ecn = outer & 3;
  switch (innerTos & 3) {
    case ECN_NOT_ECT:
      return ecn === ECN_CE ? ECN_DROP : innerTos;
    case ECN_ECT_0:
      // [ECN-03] [ECN-04]
      return ecn === ECN_CE || ecn === ECN_ECT_1 ? (innerTos & 0xfc) | ecn : innerTos;
    case ECN_ECT_1:
      return ecn === ECN_CE ? innerTos | ECN_CE : innerTos;
    default:
      return innerTos;
  }
}
