/** Which codec reads and writes the body of which payload type (RFC 7296 section 3.2). */
import type { ByteReader } from "../byte-reader.ts";
import type { ByteWriter } from "../byte-writer.ts";
import type { Payload } from "./payload.ts";
import { decodeAuth, encodeAuth } from "./payloads/auth.ts";
import { decodeCert, encodeCert } from "./payloads/cert.ts";
import { decodeCp, encodeCp } from "./payloads/cp.ts";
import { decodeDelete, encodeDelete } from "./payloads/delete.ts";
import { decodeEap, encodeEap } from "./payloads/eap.ts";
import { decodeId, encodeId } from "./payloads/id.ts";
import { decodeKe, encodeKe } from "./payloads/ke.ts";
import { decodeNonce, encodeNonce } from "./payloads/nonce.ts";
import { decodeNotify, encodeNotify } from "./payloads/notify.ts";
import { decodeSa, encodeSa } from "./payloads/sa.ts";
import { decodeSk, encodeSk } from "./payloads/sk.ts";
import { decodeSkf, encodeSkf } from "./payloads/skf.ts";
import { decodeTs, encodeTs } from "./payloads/ts.ts";
import { decodeUnknown, encodeUnknown } from "./payloads/unknown.ts";
import { decodeVendorId, encodeVendorId } from "./payloads/vendor-id.ts";
import { PayloadType } from "./registries.ts";

/**
 * Reads a body, which `body` spans exactly. The critical bit counts for unknown types alone [HDR-12].
 * @throws {@link WireError}
 */
export function decodePayloadBody(
  type: number,
  nextPayload: number,
  critical: boolean,
  body: ByteReader,
): Payload {
  switch (type) {
    case PayloadType.SA:
      return decodeSa(body);
    case PayloadType.KE:
      return decodeKe(body);
    case PayloadType.IDi:
      return decodeId("IDi", body);
    case PayloadType.IDr:
      return decodeId("IDr", body);
    case PayloadType.CERT:
      return decodeCert("CERT", body);
    case PayloadType.CERTREQ:
      return decodeCert("CERTREQ", body);
    case PayloadType.AUTH:
      return decodeAuth(body);
    case PayloadType.NONCE:
      return decodeNonce(body);
    case PayloadType.N:
      return decodeNotify(body);
    case PayloadType.D:
      return decodeDelete(body);
    case PayloadType.V:
      return decodeVendorId(body);
    case PayloadType.TSi:
      return decodeTs("TSi", body);
    case PayloadType.TSr:
      return decodeTs("TSr", body);
    case PayloadType.CP:
      return decodeCp(body);
    case PayloadType.EAP:
      return decodeEap(body);
    case PayloadType.SK:
      return decodeSk(nextPayload, body);
    case PayloadType.SKF:
      return decodeSkf(nextPayload, body);
    default:
      return decodeUnknown(type, critical, body);
  }
}

/** @throws {RangeError} when a value does not fit its field */
export function encodePayloadBody(payload: Payload, writer: ByteWriter): void {
  switch (payload.kind) {
    case "SA":
      encodeSa(payload, writer);
      break;
    case "KE":
      encodeKe(payload, writer);
      break;
    case "IDi":
    case "IDr":
      encodeId(payload, writer);
      break;
    case "CERT":
    case "CERTREQ":
      encodeCert(payload, writer);
      break;
    case "AUTH":
      encodeAuth(payload, writer);
      break;
    case "Nonce":
      encodeNonce(payload, writer);
      break;
    case "N":
      encodeNotify(payload, writer);
      break;
    case "D":
      encodeDelete(payload, writer);
      break;
    case "V":
      encodeVendorId(payload, writer);
      break;
    case "TSi":
    case "TSr":
      encodeTs(payload, writer);
      break;
    case "CP":
      encodeCp(payload, writer);
      break;
    case "EAP":
      encodeEap(payload, writer);
      break;
    case "SK":
      encodeSk(payload, writer);
      break;
    case "SKF":
      encodeSkf(payload, writer);
      break;
    case "unknown":
      encodeUnknown(payload, writer);
      break;
    default:
      payload satisfies never;
  }
}

/** The number on the wire (RFC 7296 section 3.2). */
export function payloadTypeOf(payload: Payload): number {
  if (payload.kind === "unknown") return payload.payloadType;
  return payload.kind === "Nonce" ? PayloadType.NONCE : PayloadType[payload.kind];
}
