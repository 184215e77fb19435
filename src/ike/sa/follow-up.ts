/** What CREATE_CHILD_SA agreed on and further key exchanges are still to give keys to, as its responder has it (RFC 9370 section 2.2.4). */
import { wipe } from "../../base/bytes.ts";
import type { Instant } from "../../base/instant.ts";
import type { IkeSpi, Spi } from "../../base/spi.ts";
import type { NoncePair } from "../../crypto/keymat.ts";
import type { IkeSuite } from "../connection-state.ts";
import type { Turn } from "../turn.ts";
import type { AgreedChild } from "./child-lifecycle.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";

/** A child by the names of what may be gone when it is made. */
export type FollowUpChild = Omit<AgreedChild, "keys" | "configuration" | "old"> & {
  readonly kind: "child";
  /** Name in the configuration. */
  readonly child: string;
  /** Inbound SPI of the child that it replaces. */
  readonly replaces: Spi | undefined;
};

export interface FollowUpIkeSa {
  readonly kind: "ikeSa";
  readonly suite: IkeSuite;
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
}

export interface FollowUp {
  readonly made: FollowUpChild | FollowUpIkeSa;
  readonly nonces: NoncePair;
  /** Methods still to come. */
  methods: readonly number[];
  /** Of the key exchanges so far, the first one's first; secret. */
  readonly secrets: Uint8Array[];
  /** What the next request has to say; another one each time, so that none is taken twice [PQ-17]. */
  link: Uint8Array;
  /** When it is forgotten. */
  until: Instant;
}

/** Forgets one that comes to nothing: its secrets, and the SPI that got no SA. */
export function dropFollowUp({ machine }: Turn, sa: EstablishedIkeSa, followUp: FollowUp): void {
  sa.followUps = sa.followUps.filter((one) => one !== followUp);
  wipe(...followUp.secrets);
  if (followUp.made.kind === "child") machine.spis.release(followUp.made.inboundSpi);
}
