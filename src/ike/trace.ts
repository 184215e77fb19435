/** Messages of exchanges as they pass, in clear, for whoever records them; nothing is to be done about them. */
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { decodeHeader, IKE_HEADER_LENGTH, type OutgoingHeader } from "../wire/ike/header.ts";
import type { Payload } from "../wire/ike/payload.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import type { InnerPayloads } from "./sa/int-auth.ts";
import { callerName, displayName, type Turn } from "./turn.ts";

export interface TracedMessage {
  readonly direction: "inbound" | "outbound";
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  /** Absent: it is not known yet who the peer is. */
  readonly connection: string | undefined;
  readonly header: OutgoingHeader;
  /** In clear; empty where a message of ours is only repeated, or where `inner` has yet to be decoded. */
  readonly payloads: readonly Payload[];
  /** The same as octets, where they are there. Nobody may keep either: they hold proofs of identity. */
  readonly inner?: InnerPayloads;
  readonly isProtected: boolean;
  /** How often it was sent before. */
  readonly repeats: number;
  /** Octets of the message, or of its fragments; empty where it came in fragments. */
  readonly sizes: readonly number[];
}

/** What of a message its sender or receiver tells. */
type Told = Pick<TracedMessage, "header" | "payloads"> &
  Partial<Pick<TracedMessage, "inner" | "repeats" | "sizes" | "local" | "remote" | "isProtected">>;

export function trace(
  turn: Turn,
  sa: IkeSa,
  direction: TracedMessage["direction"],
  { header, payloads, inner, repeats = 0, sizes = [], local, remote, isProtected = true }: Told,
): void {
  turn.actions.push({
    kind: "message",
    message: {
      direction,
      local: local ?? sa.local,
      remote: remote ?? sa.remote,
      connection: nameOf(turn, sa),
      header,
      payloads,
      ...(inner === undefined ? {} : { inner }),
      isProtected,
      repeats,
      sizes,
    },
  });
}

/** A whole message of IKE_SA_INIT, which nothing protects. */
export function traceInit(
  turn: Turn,
  sa: IkeSa,
  direction: TracedMessage["direction"],
  bytes: Uint8Array,
  repeats = 0,
): void {
  const header = decodeHeader(bytes);
  trace(turn, sa, direction, {
    header,
    payloads: [],
    inner: { first: header.nextPayload, bytes: bytes.subarray(IKE_HEADER_LENGTH) },
    sizes: [bytes.length],
    isProtected: false,
    repeats,
  });
}

function nameOf({ machine }: Turn, sa: IkeSa): string | undefined {
  if (sa.state === "halfOpen") return callerName(machine, sa.candidates);
  return displayName(sa.connection, sa.state === "established" ? sa.instance : 0);
}
