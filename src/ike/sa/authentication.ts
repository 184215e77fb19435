/** How long an authentication holds, and when it is repeated (RFC 7296 section 2.8.3, RFC 4478). */
import { isSingle } from "../../base/address-range.ts";
import { after, DurationMs, earlier, type Instant, seconds } from "../../base/instant.ts";
import type { RandomSource } from "../../base/random.ts";
import type { Connection } from "../../policy/connection.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import {
  AUTH_LIFETIME_LEAST,
  EXPIRY_FACTOR,
  EXPIRY_MARGIN_MIN,
  OUTDATED_PATIENCE,
  REAUTH_LEAD,
  REAUTH_PATIENCE_FACTOR,
} from "../limits.ts";

/** Of the first IKE SA of a line; those that rekey it have the same. */
export interface Authentication {
  /** Who began it, and so has to repeat it. */
  readonly by: "us" | "peer";
  /** When we begin to repeat it; absent: never. */
  renewAt: Instant | undefined;
  /** When the IKE SA ends if nobody has. */
  endsAt: Instant | undefined;
  /** Another IKE SA is in the making. */
  isRenewing: boolean;
  /** Tries that came to nothing. */
  failures: number;
  /** Of settings that are no longer in force. */
  isOutdated?: true;
}

/** @param told - what the peer, as responder, has announced by AUTH_LIFETIME [LIFE-01] */
export function newAuthentication(
  { ike, remote }: Connection,
  by: Authentication["by"],
  told: DurationMs | undefined,
  now: Instant,
  random: RandomSource,
): Authentication {
  const { reauth } = ike;
  const jitter = ike.rekey.jitter * random.fraction();
  const endsAt = reauth === undefined ? undefined : after(now, endOf(reauth));
  const common = { by, endsAt, isRenewing: false, failures: 0 };
  const canCall = remote.addresses.some(isSingle);
  if (by === "peer") {
    // It knows our limit; when it lets that pass, we repeat it ourselves.
    const late = reauth === undefined || !canCall ? undefined : DurationMs(reauth * REAUTH_PATIENCE_FACTOR);
    return { ...common, renewAt: late === undefined ? undefined : after(now, late) };
  }
  const own = reauth === undefined ? undefined : after(now, DurationMs(reauth * (1 - jitter)));
  return { ...common, renewAt: earlier(own, told === undefined ? undefined : inTime(told, jitter, now)) };
}

function endOf(reauth: DurationMs): DurationMs {
  return DurationMs(reauth + Math.max(reauth * EXPIRY_FACTOR, EXPIRY_MARGIN_MIN));
}

/** Early enough that the new IKE SA is there when the peer closes this one. */
function inTime(told: DurationMs, jitter: number, now: Instant): Instant {
  const limit = Math.max(told, AUTH_LIFETIME_LEAST);
  return after(now, DurationMs(limit * (1 - REAUTH_LEAD) * (1 - jitter)));
}

/** The peer says it again, in an exchange of its own [LIFE-02]. */
export function shortenAuthentication(authentication: Authentication, told: DurationMs, now: Instant): void {
  if (authentication.by !== "us") return;
  authentication.renewAt = earlier(authentication.renewAt, inTime(told, 0, now));
}

/** The settings that it was made with have changed: it is repeated with those of now, or ends soon. */
export function outdate(authentication: Authentication, { keep, remote }: Connection, now: Instant): void {
  const limit = after(now, OUTDATED_PATIENCE);
  const { endsAt, isOutdated } = authentication;
  authentication.endsAt = isOutdated === true || endsAt === undefined ? limit : earlier(endsAt, limit);
  authentication.isOutdated = true;
  // Whoever is never called by us calls.
  const mayCall = keep !== "respond" && remote.addresses.some(isSingle);
  authentication.renewAt = authentication.by === "us" || mayCall ? now : undefined;
  authentication.isRenewing = false;
  authentication.failures = 0;
}

/** What AUTH_LIFETIME says: four octets, in seconds; `undefined` when it is not there or of another length. */
export function toldLifetime(payloads: readonly Payload[]): DurationMs | undefined {
  const data = findNotify(payloads, NotifyType.AUTH_LIFETIME)?.data;
  if (data?.length !== 4) return undefined;
  return seconds(new DataView(data.buffer, data.byteOffset, 4).getUint32(0));
}

/** As responder: how long the peer's authentication holds [LIFE-03]. */
export function lifetimeNotifies({ ike: { reauth } }: Connection): readonly NotifyPayload[] {
  if (reauth === undefined) return [];
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, Math.ceil(reauth / 1000));
  return [notify(NotifyType.AUTH_LIFETIME, data)];
}
