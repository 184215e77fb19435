/** The first octets of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages, and which of them report errors. */

/** Type, code, checksum and four octets that depend on them; an error quotes a packet behind. */
export const ICMP_HEADER_LENGTH = 8;

export const Icmpv4Type = {
  ECHO_REPLY: 0,
  DESTINATION_UNREACHABLE: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO_REQUEST: 8,
  ROUTER_ADVERTISEMENT: 9,
  ROUTER_SOLICITATION: 10,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
  TIMESTAMP: 13,
  ADDRESS_MASK_REPLY: 18,
  EXTENDED_ECHO_REQUEST: 42,
  EXTENDED_ECHO_REPLY: 43,
} as const;

export const Icmpv6Type = {
  DESTINATION_UNREACHABLE: 1,
  PACKET_TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  REDIRECT: 137,
} as const;

/** ICMPv6 types below this one are errors (RFC 4443 section 2.1). */
const ICMPV6_FIRST_INFORMATIONAL = 128;

/** Whether an ICMP message reports an error about the packet that it quotes. */
export function quotesPacket(family: number, type: number): boolean {
  if (family === 6) return type < ICMPV6_FIRST_INFORMATIONAL;
  return (
    type === Icmpv4Type.DESTINATION_UNREACHABLE ||
    type === Icmpv4Type.SOURCE_QUENCH ||
    type === Icmpv4Type.REDIRECT ||
    type === Icmpv4Type.TIME_EXCEEDED ||
    type === Icmpv4Type.PARAMETER_PROBLEM
  );
}

/**
 * Whether an ICMP message may itself be answered by an ICMP error (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)):
 * never an error or a redirect, and never a type of which that is not known.
 */
export function mayAnswerWithError(family: number, type: number): boolean {
  if (family === 6) return type >= ICMPV6_FIRST_INFORMATIONAL && type !== Icmpv6Type.REDIRECT;
  if (type === Icmpv4Type.EXTENDED_ECHO_REQUEST || type === Icmpv4Type.EXTENDED_ECHO_REPLY) return true;
  if (type === Icmpv4Type.ECHO_REPLY || type === Icmpv4Type.ECHO_REQUEST) return true;
  const isQuery = type >= Icmpv4Type.TIMESTAMP && type <= Icmpv4Type.ADDRESS_MASK_REPLY;
  return isQuery || type === Icmpv4Type.ROUTER_ADVERTISEMENT || type === Icmpv4Type.ROUTER_SOLICITATION;
}
