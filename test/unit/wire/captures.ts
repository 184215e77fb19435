/** The captures that others made, where the folder with them lies beside the project. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../../../../shared/vectors");
export const CAPTURES = join(ROOT, "captures");
export const MALFORMED = join(ROOT, "malformed");
export const hasCaptures = existsSync(join(CAPTURES, "captures.json"));
export const hasMalformed = existsSync(MALFORMED);

export interface IkeKeys {
  readonly spi_i: string;
  readonly integrity: string;
  readonly sk_ei: string;
  readonly sk_er: string;
  readonly sk_ai: string;
  readonly sk_ar: string;
}

export interface EspKeys {
  readonly id: string;
  readonly spi: string;
  readonly encryption: string;
  readonly key: string;
  readonly integrity: string;
  readonly integrity_key: string;
  readonly unchecked_icv_octets?: number;
}

export interface ExpectedIke {
  readonly type: "ike";
  readonly frame: number;
  readonly src: string;
  readonly dst: string;
  readonly spi_i: string;
  readonly spi_r: string;
  readonly exchange: number;
  readonly flags: number;
  readonly message_id: number;
  readonly length: number;
  readonly payloads: readonly string[];
  readonly inner_payloads?: readonly string[];
  readonly inner_sha256?: string;
}

export interface ExpectedEsp {
  readonly type: "esp";
  readonly frame: number;
  readonly src: string;
  readonly dst: string;
  readonly spi: string;
  readonly seq: number;
  readonly sa: string;
  readonly next_header: number;
  readonly pad_length: number;
  readonly inner_length: number;
  readonly inner_sha256: string;
}

export interface Capture {
  readonly file: string;
  readonly ike_sas?: readonly IkeKeys[];
  readonly sas?: readonly EspKeys[];
  readonly packets: readonly (ExpectedIke | ExpectedEsp)[];
}

export function readCaptures(): readonly Capture[] {
  if (!hasCaptures) return [];
  const list: { captures: Capture[] } = JSON.parse(readFileSync(join(CAPTURES, "captures.json"), "utf8"));
  return list.captures;
}

/** An ESP packet that the Linux kernel made, from its SPI on. */
export interface KernelEsp {
  readonly name: string;
  readonly key: string;
  readonly spi: string;
  readonly seq: number;
  readonly esp_packet: string;
  readonly inner_packet: string;
  readonly pad_length: number;
  readonly next_header: number;
}

export function readKernelEsp(): readonly KernelEsp[] {
  return readCases<KernelEsp>("linux-xfrm-esp.json");
}

/** A whole IP packet with ESP or AH in it, made by scapy. */
export interface ProtectedPacket {
  readonly id: number;
  readonly protocol: "esp" | "ah";
  readonly mode: "transport" | "tunnel";
  readonly outer_family: 4 | 6;
  readonly inner_family: 4 | 6;
  readonly spi: string;
  readonly seq_low: number;
  readonly extension_headers: string | null;
  readonly original_packet: string;
  readonly protected_packet: string;
}

export function readProtectedPackets(): readonly ProtectedPacket[] {
  return readCases<ProtectedPacket>("scapy-esp-ah.json");
}

function readCases<T>(file: string): readonly T[] {
  if (!hasCaptures) return [];
  const list: { cases: T[] } = JSON.parse(readFileSync(join(CAPTURES, file), "utf8"));
  return list.cases;
}
