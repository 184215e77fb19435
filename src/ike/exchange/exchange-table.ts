/** Which payloads each protected exchange needs, and may hold once at most (RFC 7296 section 1 and appendix C). */
import type { Payload } from "../../wire/ike/payload.ts";
import { ExchangeType } from "../../wire/ike/registries.ts";

type Kind = Payload["kind"];

export interface ExchangeRow {
  readonly exchangeType: number;
  readonly direction: "request" | "response";
  /** States of the IKE SA in which it is looked at. */
  readonly states: readonly ("authenticating" | "established" | "leaving")[];
  readonly required: readonly Kind[];
}

/**
 * IKE_SA_INIT and the requests of IKE_INTERMEDIATE and IKE_AUTH have no row: an IKE SA that can check them does not exist yet. A response with an
 * error notify needs nothing else.
 */
const ROWS: readonly ExchangeRow[] = [
  { exchangeType: ExchangeType.IKE_AUTH, direction: "response", states: ["authenticating"], required: [] },
  {
    exchangeType: ExchangeType.IKE_INTERMEDIATE,
    direction: "response",
    states: ["authenticating"],
    required: [],
  },
  {
    exchangeType: ExchangeType.CREATE_CHILD_SA,
    direction: "request",
    states: ["established", "leaving"],
    required: ["SA", "Nonce"],
  },
  {
    exchangeType: ExchangeType.CREATE_CHILD_SA,
    direction: "response",
    states: ["established", "leaving"],
    required: [],
  },
  {
    exchangeType: ExchangeType.IKE_FOLLOWUP_KE,
    direction: "request",
    states: ["established", "leaving"],
    required: ["KE"],
  },
  {
    exchangeType: ExchangeType.IKE_FOLLOWUP_KE,
    direction: "response",
    states: ["established", "leaving"],
    required: [],
  },
  {
    exchangeType: ExchangeType.INFORMATIONAL,
    direction: "request",
    states: ["established", "leaving"],
    required: [],
  },
  {
    exchangeType: ExchangeType.INFORMATIONAL,
    direction: "response",
    states: ["established", "leaving"],
    required: [],
  },
];

/** Kinds that mean nothing twice. */
const SINGLE: readonly Kind[] = ["SA", "KE", "Nonce", "IDi", "IDr", "AUTH", "TSi", "TSr"];

export function exchangeRow(exchangeType: number, isResponse: boolean): ExchangeRow | undefined {
  const direction = isResponse ? "response" : "request";
  return ROWS.find((row) => row.exchangeType === exchangeType && row.direction === direction);
}

/** Whether the payloads are complete and none of the single kinds comes twice; their order does not matter [HDR-13]. */
export function fitsRow({ required }: ExchangeRow, payloads: readonly Payload[]): boolean {
  const count = (kind: Kind) => payloads.filter((payload) => payload.kind === kind).length;
  return required.every((kind) => count(kind) === 1) && SINGLE.every((kind) => count(kind) <= 1);
}
