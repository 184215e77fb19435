/** Damaged and hostile captures of other projects: every decoder returns or throws WireError, and in good time. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeHeader } from "../../../src/wire/ike/header.ts";
import { decodeMessage } from "../../../src/wire/ike/message.ts";
import { WireError } from "../../../src/wire/wire-error.ts";
import { hasMalformed, MALFORMED } from "./captures.ts";
import { runAllDecoders } from "./decoders.ts";
import { type Datagram, readDatagrams, readPackets } from "./pcap.ts";

const files = hasMalformed ? readdirSync(MALFORMED) : [];

function isIke({ sourcePort, destinationPort }: Datagram): boolean {
  return [500, 4500].some((port) => port === sourcePort || port === destinationPort);
}

function outcome(bytes: Uint8Array): string {
  try {
    decodeMessage(bytes);
    return "decoded";
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
}

describe.skipIf(!hasMalformed)("malformed captures", () => {
  test("there are files with packets", () => {
    expect(files.length).toBe(9);
    expect(files.flatMap((file) => readPackets(join(MALFORMED, file))).length).toBeGreaterThan(9);
  });

  test.each(files)("%s does no harm to any decoder", (file) => {
    for (const packet of readPackets(join(MALFORMED, file))) {
      if (packet !== undefined) runAllDecoders(packet);
    }
    for (const { payload } of readDatagrams(join(MALFORMED, file))) runAllDecoders(payload);
  });

  test("IKEv1 messages are refused for their version", () => {
    const messages = files.flatMap((file) => readDatagrams(join(MALFORMED, file))).filter(isIke);
    const old = messages.filter(
      ({ payload }) => payload.length >= 28 && decodeHeader(payload).majorVersion !== 2,
    );
    expect(old.length).toBeGreaterThan(5);
    expect(new Set(old.map(({ payload }) => outcome(payload)))).toEqual(new Set(["WIRE_BAD_VERSION"]));
  });

  test.each([
    ["ikev2-id-normal.pcap", ["WIRE_BAD_LENGTH"]],
    ["ikev2-id-short.pcap", ["WIRE_TRUNCATED"]],
    ["ikev2pI2-segfault.pcapng", ["WIRE_BAD_VALUE"]],
    ["ikev2pI2.pcap", ["decoded", "decoded"]],
  ])("%s: the IKEv2 messages end as %s", (file, outcomes) => {
    const messages = readDatagrams(join(MALFORMED, file)).filter(isIke);
    expect(messages.map(({ payload }) => outcome(payload))).toEqual(outcomes);
  });
});
