/** Stateless cookies (RFC 7296 section 2.6): one's own secret over what the initiator's message holds. */
import { concat, fromHex, wipe } from "../../base/bytes.ts";
import { after, Instant } from "../../base/instant.ts";
import type { IpAddress } from "../../base/ip-address.ts";
import type { RandomSource } from "../../base/random.ts";
import type { IkeSpi } from "../../base/spi.ts";
import { constantTimeEqual } from "../../crypto/constant-time.ts";
import { hmacSha256 } from "../../crypto/hash.ts";
import { COOKIE_SECRET_LIFETIME } from "../limits.ts";

const SECRET_LENGTH = 32;
const VERSION_LENGTH = 4;

interface CookieSecret {
  readonly version: number;
  readonly octets: Uint8Array;
}

/** The current secret and the one before; both are accepted. */
export interface CookieJar {
  current: CookieSecret | undefined;
  previous: CookieSecret | undefined;
  rotateAt: Instant;
}

export function newCookieJar(): CookieJar {
  return { current: undefined, previous: undefined, rotateAt: Instant(0) };
}

function rotate(jar: CookieJar, now: Instant, random: RandomSource): CookieSecret {
  if (jar.current !== undefined && now < jar.rotateAt) return jar.current;
  wipe(jar.previous?.octets);
  // Untouched for a whole lifetime more: the old secret is as stale as the one before it.
  const isStale = jar.current !== undefined && now >= jar.rotateAt + COOKIE_SECRET_LIFETIME;
  if (isStale) wipe(jar.current?.octets);
  jar.previous = isStale ? undefined : jar.current;
  const version = ((jar.current?.version ?? 0) + 1) >>> 0;
  jar.current = { version, octets: random.secretBytes(SECRET_LENGTH) };
  jar.rotateAt = after(now, COOKIE_SECRET_LIFETIME);
  return jar.current;
}

/** A cookie for this request: version of the secret, then HMAC over nonce, address and SPI; 36 octets [INIT-07]. */
export function makeCookie(
  jar: CookieJar,
  nonce: Uint8Array,
  address: IpAddress,
  initiatorSpi: IkeSpi,
  now: Instant,
  random: RandomSource,
): Uint8Array {
  return cookieOf(rotate(jar, now, random), nonce, address, initiatorSpi);
}

/** Whether we gave out this cookie for this request, lately [INIT-07]. */
export function isOurCookie(
  jar: CookieJar,
  cookie: Uint8Array,
  nonce: Uint8Array,
  address: IpAddress,
  initiatorSpi: IkeSpi,
  now: Instant,
  random: RandomSource,
): boolean {
  rotate(jar, now, random);
  return [jar.current, jar.previous].some(
    (secret) =>
      secret !== undefined && constantTimeEqual(cookieOf(secret, nonce, address, initiatorSpi), cookie),
  );
}

function cookieOf(
  secret: CookieSecret,
  nonce: Uint8Array,
  address: IpAddress,
  initiatorSpi: IkeSpi,
): Uint8Array {
  const version = new Uint8Array(VERSION_LENGTH);
  new DataView(version.buffer).setUint32(0, secret.version);
  return concat(version, hmacSha256(secret.octets, version, nonce, address, fromHex(initiatorSpi)));
}
