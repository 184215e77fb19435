/** Identities as the configuration would write them, safe to print whoever chose them. */
import type { Identification } from "../policy/connection.ts";
import { formatIdentity } from "../policy/identity-text.ts";
import { IdType } from "../wire/ike/registries.ts";
import { escapeForeign } from "./escape.ts";

/** Octets of an identity that an operator would type. */
const TYPED_OCTETS_MAX = 64;

/** A distinguished name whose parts have names and one plain value each. */
const NAME = /^dn:[A-Z]+=[^#+*\\]+(?:, [A-Z]+=[^#+*\\]+)*$/;

/** `gw.example.net`, `dn:C=DE, O=Example, CN=gw-a`, `keyid:0xc0ffee` */
export const identityText = (identity: Identification): string => formatIdentity(identity, escapeForeign);

/** The key `id` of the configuration can hold it, as {@link identityText} writes it. */
export function isConfigurable(identity: Identification): boolean {
  const { idType, data } = identity;
  if (idType === IdType.DER_ASN1_DN) {
    const text = formatIdentity(identity, String);
    return NAME.test(text) && text === identityText(identity);
  }
  const types: readonly number[] = [
    IdType.IPV4_ADDR,
    IdType.IPV6_ADDR,
    IdType.FQDN,
    IdType.RFC822_ADDR,
    IdType.KEY_ID,
  ];
  return types.includes(idType) && data.length > 0 && data.length <= TYPED_OCTETS_MAX;
}
