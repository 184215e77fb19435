/** Reading and making lists of payloads, in whatever order they come [HDR-13]. */
import { decodeInvalidKePayload, encodeInvalidKePayload } from "../../wire/ike/notify-data.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NOTIFY_STATUS_FIRST, NotifyType, ProtocolId } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";

type PayloadOf<Kind, Of = Payload> = Of extends { kind: infer Kinds }
  ? Kind extends Kinds
    ? Of
    : never
  : never;

/** The first payload of a kind. */
export function find<Kind extends Payload["kind"]>(
  payloads: readonly Payload[],
  kind: Kind,
): PayloadOf<Kind> | undefined {
  for (const payload of payloads) if (payload.kind === kind) return payload as PayloadOf<Kind>;
  return undefined;
}

function notifiesOf(payloads: readonly Payload[]): readonly NotifyPayload[] {
  return payloads.filter((payload) => payload.kind === "N");
}

export function findNotify(payloads: readonly Payload[], notifyType: number): NotifyPayload | undefined {
  return notifiesOf(payloads).find((notify) => notify.notifyType === notifyType);
}

/** The first notify that reports an error; status types are none, known or not [ERR-04]. */
export function findError(payloads: readonly Payload[]): NotifyPayload | undefined {
  return notifiesOf(payloads).find((notify) => notify.notifyType < NOTIFY_STATUS_FIRST);
}

const NOTHING = new Uint8Array(0);

/** A notify about the IKE SA or the exchange: no SPI [ERR-05]. */
export function notify(notifyType: number, data: Uint8Array = NOTHING): NotifyPayload {
  return { kind: "N", protocolId: ProtocolId.NONE, notifyType, spi: NOTHING, data };
}

/** A notify about a child SA. */
export function childNotify(
  notifyType: number,
  spi: Uint8Array,
  protocolId: number = ProtocolId.ESP,
): NotifyPayload {
  return { kind: "N", protocolId, notifyType, spi, data: NOTHING };
}

/** INVALID_KE_PAYLOAD with the method we want, in two octets [INIT-03]. */
export function invalidKe(method: number): NotifyPayload {
  return notify(NotifyType.INVALID_KE_PAYLOAD, encodeInvalidKePayload(method));
}

/** The method that an INVALID_KE_PAYLOAD names; `undefined` when it names none. */
export function wantedMethod({ data }: NotifyPayload): number | undefined {
  try {
    return decodeInvalidKePayload(data);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** First payload with the critical bit whose type we do not know [HDR-10]; others are passed over [HDR-11] [HDR-12]. */
export function unknownCritical(payloads: readonly Payload[]): number | undefined {
  for (const payload of payloads)
    if (payload.kind === "unknown" && payload.critical) return payload.payloadType;
  return undefined;
}
