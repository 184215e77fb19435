/** What an ID payload says, as it is kept (RFC 7296 section 3.5). */
import type { Identification } from "../../policy/connection.ts";
import type { IdPayload } from "../../wire/ike/payload.ts";

/** Octets of its own: a view would keep the whole message in memory, in clear. */
export function identityOf({ idType, data }: IdPayload): Identification {
  return { idType, data: data.slice() };
}
