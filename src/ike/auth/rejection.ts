/** What is said when the peer does not believe who we are: it tells no more than AUTHENTICATION_FAILED (RFC 7296 section 2.21.2). */
import type { Connection, Identification } from "../../policy/connection.ts";
import type { ProofFacts } from "../connection-state.ts";
import type { FailureNotice } from "../notice.ts";
import { about } from "../turn.ts";

/** @param proof - how we had signed, once we had */
export function rejectionOf(
  sa: Parameters<typeof about>[0] & { readonly localIdentity: Identification },
  { local, place }: Connection,
  proof: ProofFacts | undefined,
): FailureNotice {
  return {
    code: "authenticationRejectedByPeer",
    ...about(sa),
    sentIdentity: sa.localIdentity,
    by: local.auth.kind,
    ...(proof === undefined ? {} : { proof }),
    place,
  };
}
