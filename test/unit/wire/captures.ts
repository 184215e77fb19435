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
