/** The short interview: whether a peer answers on both ports, and which sizes of packets reach it. Leaves nothing behind at the peer. */
import { KeyExchangeMethod } from "../../wire/ike/registries.ts";
import { ALL, offerOf } from "./candidates.ts";
import type { Interview } from "./interviewer.ts";
import type { Question, Reply } from "./question.ts";

/** A reply, or nothing: it was not asked. */
export type Outcome = Reply | undefined;

export interface Reach {
  readonly ike: Outcome;
  readonly nat: Outcome;
  /** Longer than the path of 1280 octets that every packet fits, in one piece with DF; absent: not asked. */
  readonly whole?: { readonly packetOctets: number; readonly reply: Outcome };
  /** Larger than the link carries, so that it travels in fragments. */
  readonly fragments?: { readonly packetOctets: number; readonly reply: Outcome };
}

/**
 * All there is, with a value for a group that hardly anybody takes: a peer that has anything in common names another method, one that
 * has not refuses, and neither keeps state (RFC 7296 sections 1.2 and 2.7).
 */
export const KNOCK: Question = {
  offer: offerOf({ ...ALL, ke: [...ALL.ke, KeyExchangeMethod.MODP_768] }),
  method: KeyExchangeMethod.MODP_768,
  port: "ike",
};

/** What is larger than a link by this is in two fragments. */
const BEYOND_LINK = 400;
/** The peer has answered: what does not come now gets lost for its size. */
const SIZE_TRIES = 2;

export interface ReachOptions {
  /** Octets of the largest packet on the first link of the way. */
  readonly linkMtu: number;
}

export function* interviewReach({ linkMtu }: ReachOptions): Interview<Reach> {
  const ike = yield KNOCK;
  const nat = yield { ...KNOCK, port: "nat", mayFail: true };
  const port = isAnswer(ike) ? "ike" : isAnswer(nat) ? "nat" : undefined;
  if (port === undefined) return { ike, nat };
  const sized = { ...KNOCK, port, tries: SIZE_TRIES, mayFail: true } as const;
  const whole = yield { ...sized, packetOctets: linkMtu, dontFragment: true };
  const fragments = yield { ...sized, packetOctets: linkMtu + BEYOND_LINK };
  return {
    ike,
    nat,
    whole: { packetOctets: linkMtu, reply: whole },
    fragments: { packetOctets: linkMtu + BEYOND_LINK, reply: fragments },
  };
}

/** Something came back, whatever it says. */
export function isAnswer(reply: Outcome): boolean {
  return reply !== undefined && reply.kind !== "silent";
}
