/** The Security Association payload and its proposals (RFC 7296 sections 3.3 and 3.3.1). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { Proposal, SaPayload, Transform } from "../payload.ts";
import { decodeTransform, encodeTransform } from "./transform.ts";

/** Peers in the field send up to about twenty proposals; comparing them costs time before anybody is authenticated. */
export const MAX_PROPOSALS = 64;
/** Room for every transform that IANA lists for one protocol, with each key length. */
export const MAX_TRANSFORMS = 128;

const MORE_PROPOSALS = 2;
const LAST_PROPOSAL = 0;
const HEADER_LENGTH = 8;

/**
 * Reads the body of an SA payload. SPIs are views of the input.
 * @throws {@link WireError} when lengths, counts and the marks of the last substructure disagree, or limits are exceeded
 */
export function decodeSa(body: ByteReader): SaPayload {
  const proposals: Proposal[] = [];
  let isLast = false;
  while (!isLast) {
    if (proposals.length === MAX_PROPOSALS) {
      throw body.error("WIRE_TOO_MANY", `an SA payload has more than ${MAX_PROPOSALS} proposals`);
    }
    const more = body.u8();
    if (more !== MORE_PROPOSALS && more !== LAST_PROPOSAL) {
      throw body.error("WIRE_BAD_VALUE", `a proposal says ${more} about further ones`);
    }
    isLast = more === LAST_PROPOSAL;
    body.skip(1);
    const length = body.u16();
    if (length < HEADER_LENGTH) {
      throw body.error("WIRE_BAD_LENGTH", `a proposal claims a length of ${length} octets`);
    }
    proposals.push(decodeProposal(body.span(length - 4)));
  }
  body.expectEnd("the last proposal");
  return { kind: "SA", proposals };
}

function decodeProposal(body: ByteReader): Proposal {
  const number = body.u8();
  const protocolId = body.u8();
  const spiLength = body.u8();
  const count = body.u8();
  if (count > MAX_TRANSFORMS) {
    throw body.error(
      "WIRE_TOO_MANY",
      `a proposal announces ${count} transforms, ${MAX_TRANSFORMS} are taken`,
    );
  }
  const spi = body.octets(spiLength);
  const transforms: Transform[] = [];
  for (let i = 1; i <= count; i++) transforms.push(decodeTransform(body, i === count));
  body.expectEnd("the last transform");
  return { number, protocolId, spi, transforms };
}

/** @throws {RangeError} when there is no proposal, more than the limits, or a value does not fit */
export function encodeSa(payload: SaPayload, writer: ByteWriter): void {
  const { proposals } = payload;
  if (proposals.length === 0 || proposals.length > MAX_PROPOSALS) {
    throw new RangeError(`an SA payload takes 1 to ${MAX_PROPOSALS} proposals, not ${proposals.length}`);
  }
  for (const [index, proposal] of proposals.entries()) {
    encodeProposal(proposal, index === proposals.length - 1, writer);
  }
}

function encodeProposal(proposal: Proposal, isLast: boolean, writer: ByteWriter): void {
  const { number, protocolId, spi, transforms } = proposal;
  if (transforms.length > MAX_TRANSFORMS) {
    throw new RangeError(`a proposal takes at most ${MAX_TRANSFORMS} transforms, not ${transforms.length}`);
  }
  const start = writer.length;
  writer.u8(isLast ? LAST_PROPOSAL : MORE_PROPOSALS);
  writer.u8(0);
  writer.u16(0);
  writer.u8(number);
  writer.u8(protocolId);
  writer.u8(spi.length);
  writer.u8(transforms.length);
  writer.octets(spi);
  for (const [index, transform] of transforms.entries()) {
    encodeTransform(transform, index === transforms.length - 1, writer);
  }
  writer.patchU16(start + 2, writer.length - start);
}
