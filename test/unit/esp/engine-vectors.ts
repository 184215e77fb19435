/** Packets that others sealed, opened by an engine. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { PACKET_NOT_AUTHENTIC, PACKET_OK } from "../../../src/base/packet-batch.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import {
  assign,
  type EngineSuite,
  type EngineUnderTest,
  INBOUND,
  packetOf,
  packets,
  SUITES,
  writeSlot,
} from "./engine-suites.ts";

const OWN = join(import.meta.dirname, "../../vectors");
const SHARED = join(import.meta.dirname, "../../../../shared/vectors");

interface SealedByOthers {
  readonly name: string;
  readonly suite: EngineSuite;
  readonly encr: string;
  readonly integ: string;
  readonly esn: boolean;
  readonly sequenceHigh: number;
  readonly packet: string;
  /** The plaintext with its trailer, or how it begins. */
  readonly plaintextStart: string;
}

function suiteNamed(name: string): EngineSuite {
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (suite === undefined) throw new Error(`no suite ${name}`);
  return suite;
}

const casesOf = <Case>(path: string): Case[] =>
  (JSON.parse(readFileSync(path, "utf8")) as { cases: Case[] }).cases;

interface GcmCase {
  readonly name: string;
  readonly key: string;
  readonly salt: string;
  readonly sequence: string;
  readonly esn: boolean;
  readonly plaintext: string;
  readonly packet: string;
}

function gcmPackets(): SealedByOthers[] {
  return casesOf<GcmCase>(join(OWN, "esp-aes-gcm-16.json")).map((given) => ({
    name: `draft-mcgrew-gcm-test ${given.name}`,
    suite: suiteNamed(`AES-GCM-16 ${given.key.length * 4}`),
    encr: given.key + given.salt,
    integ: "",
    esn: given.esn,
    sequenceHigh: given.esn ? Number.parseInt(given.sequence.slice(0, 8), 16) : 0,
    packet: given.packet,
    plaintextStart: given.plaintext,
  }));
}

interface ChaChaCase {
  readonly case: string;
  readonly key: string;
  readonly salt: string;
  readonly esp_packet?: string;
  readonly plaintext_with_trailer?: string;
}

function chaChaPackets(): SealedByOthers[] {
  return casesOf<ChaChaCase>(join(SHARED, "rfc/chacha20-poly1305-rfc7634.json"))
    .filter((given) => given.esp_packet !== undefined)
    .map((given) => ({
      name: `RFC 7634 appendix ${given.case}`,
      suite: suiteNamed("ChaCha20-Poly1305"),
      encr: given.key + given.salt,
      integ: "",
      esn: false,
      sequenceHigh: 0,
      packet: given.esp_packet!,
      plaintextStart: given.plaintext_with_trailer!,
    }));
}

interface LinuxCase {
  readonly name: string;
  readonly key: string;
  readonly esp_packet: string;
  readonly inner_packet: string;
}

function linuxPackets(): SealedByOthers[] {
  return casesOf<LinuxCase>(join(SHARED, "captures/linux-xfrm-esp.json"))
    .filter((given) => given.name === "aes-128-gcm-16")
    .map((given) => ({
      name: `Linux ${given.name}`,
      suite: suiteNamed("AES-GCM-16 128"),
      encr: given.key,
      integ: "",
      esn: false,
      sequenceHigh: 0,
      packet: given.esp_packet,
      plaintextStart: given.inner_packet,
    }));
}

interface ScapyCase {
  readonly id: number;
  readonly protocol: string;
  readonly mode: string;
  readonly outer_family: number;
  readonly encryption: string;
  readonly key: string;
  readonly integrity: string;
  readonly integrity_key: string;
  readonly esn_high: number | null;
  readonly udp_encap: boolean;
  readonly extension_headers: unknown;
  readonly original_packet: string;
  readonly protected_packet: string;
}

const MAC_BY_NAME: Readonly<Record<string, readonly [id: number, keyLength: number, icvLength: number]>> = {
  none: [Integ.NONE, 0, 16],
  "HMAC-SHA1-96": [Integ.HMAC_SHA1_96, 20, 12],
  "AES-CMAC-96": [Integ.AES_CMAC_96, 16, 12],
  "SHA2-256-128": [Integ.HMAC_SHA2_256_128, 32, 16],
  "SHA2-384-192": [Integ.HMAC_SHA2_384_192, 48, 24],
  "SHA2-512-256": [Integ.HMAC_SHA2_512_256, 64, 32],
};

/** With the octets of salt, of IV, and of alignment. */
const CIPHER_BY_NAME: Readonly<
  Record<string, readonly [id: number, salt: number, iv: number, block: number]>
> = {
  NULL: [Encr.NULL, 0, 0, 4],
  "3DES": [Encr.DES3, 0, 8, 8],
  "AES-CBC": [Encr.AES_CBC, 0, 16, 16],
  "AES-CTR": [Encr.AES_CTR, 4, 8, 4],
  "AES-GCM": [Encr.AES_GCM_16, 4, 8, 4],
  "AES-CCM": [Encr.AES_CCM_16, 3, 8, 4],
  "CHACHA20-POLY1305": [Encr.CHACHA20_POLY1305, 4, 8, 4],
};

function scapyPackets(): SealedByOthers[] {
  return casesOf<ScapyCase>(join(SHARED, "captures/scapy-esp-ah.json")).flatMap((given) => {
    const mac = MAC_BY_NAME[given.integrity];
    const cipher = CIPHER_BY_NAME[given.encryption];
    if (given.protocol !== "esp" || given.udp_encap || given.extension_headers !== null) return [];
    if (mac === undefined || cipher === undefined) throw new Error(`scapy ${given.id} has another suite`);
    const [encr, saltLength, ivLength, blockSize] = cipher;
    const keyLength = given.key.length / 2;
    const isFixed = [Encr.NULL, Encr.DES3, Encr.CHACHA20_POLY1305].some((id) => id === encr);
    const [integ, integKeyLength, icvLength] = mac;
    const keyBits = isFixed ? 0 : (keyLength - saltLength) * 8;
    const name = `${given.encryption} ${given.integrity}`;
    const lengths = { keyLength, integKeyLength, ivLength, icvLength, blockSize };
    const innerHeader = given.mode === "transport" ? (given.outer_family === 4 ? 40 : 80) : 0;
    return [
      {
        name: `scapy ${given.id} ${name}`,
        suite: { name, encr, keyBits, integ, ...lengths },
        encr: given.key,
        integ: given.integrity_key,
        esn: given.esn_high !== null,
        sequenceHigh: given.esn_high ?? 0,
        packet: given.protected_packet.slice(given.outer_family === 4 ? 40 : 80),
        plaintextStart: given.original_packet.slice(innerHeader),
      },
    ];
  });
}

function opens(bench: EngineUnderTest, given: SealedByOthers): void {
  writeSlot(bench.table, 1, given.suite, { direction: INBOUND, esn: given.esn });
  bench.keys.install(1, fromHex(given.encr), fromHex(given.integ));
  const packet = fromHex(given.packet);
  const batch = assign(packets([packet, packet, packet]), 1, given.sequenceHigh);
  batch.bytes[batch.offset[1]! + packet.length - 1]! ^= 1;
  if (given.esn) batch.sequenceHigh[2]! ^= 1;
  bench.engine.open(batch);
  expect([...batch.status.subarray(0, 3)]).toEqual([
    PACKET_OK,
    PACKET_NOT_AUTHENTIC,
    given.esn ? PACKET_NOT_AUTHENTIC : PACKET_OK,
  ]);
  const plaintext = toHex(packetOf(batch));
  expect(plaintext.slice(0, given.plaintextStart.length)).toBe(given.plaintextStart);
}

/** @param make - a fresh engine */
export function engineVectors(make: () => EngineUnderTest): void {
  describe("packets of others", () => {
    test.each(gcmPackets())("[ESP-16] [ESP-17] $name", (given) => opens(make(), given));

    const isAbsent = !existsSync(SHARED);
    test.skipIf(isAbsent).each(isAbsent ? [] : [...chaChaPackets(), ...linuxPackets()])("$name", (given) =>
      opens(make(), given),
    );
    test.skipIf(isAbsent).each(isAbsent ? [] : scapyPackets())("[ESP-19] [ESP-20] [ESP-22] $name", (given) =>
      opens(make(), given),
    );
    test.skipIf(isAbsent)("there are such packets", () => {
      const suites = new Set(scapyPackets().map(({ suite }) => suite.name));
      expect([scapyPackets().length, suites.size]).toEqual([68, 18]);
      expect(linuxPackets().length).toBe(1);
      expect(chaChaPackets().length).toBe(1);
    });
  });
}
