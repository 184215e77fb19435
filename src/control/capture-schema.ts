/** `capture` over the control socket: what is asked for; the answer is a pcapng file that grows. */
import * as z from "zod";
import { parseIpAddress } from "../base/ip-address.ts";

export const CAPTURE_PATH = "/v1/capture";
export const CAPTURE_TYPE = "application/x-pcapng";

/** Octets that are kept of a packet, at most, and unless told: the longest superpacket. */
export const SNAP_MAX = 262_144;
/** Enough for the headers that are looked at. */
export const SNAP_MIN = 64;
/** The longest capture. */
export const CAPTURE_SECONDS_MAX = 7 * 86_400;
export const CAPTURE_OCTETS_MAX = 2 ** 40;

/**
 * The Decryption Secrets Block that a capture with keys contains, as the command line reads it: JSON of {@link captureKey}.
 * "TGIK" as a number.
 */
export const CAPTURE_SECRETS_TYPE = 0x4b494754;

export const captureRequest = z.strictObject({
  /** Of one connection only. */
  connection: z.string().min(1).max(128).optional(),
  /** To or from this address only, inner or outer. */
  host: z
    .string()
    .refine((text) => parseIpAddress(text) !== undefined, "is no IP address")
    .optional(),
  seconds: z.number().positive().max(CAPTURE_SECONDS_MAX).optional(),
  /** Octets of the file. */
  octetsMax: z.number().int().positive().max(CAPTURE_OCTETS_MAX).optional(),
  snap: z.number().int().min(SNAP_MIN).max(SNAP_MAX).default(SNAP_MAX),
  /** Keys of the SAs, with which anybody can read their packets. */
  keys: z.boolean().default(false),
});
export type CaptureRequest = z.infer<typeof captureRequest>;

const hex = z.string().regex(/^([0-9a-f]{2})*$/);

/** Keys of one direction of a child SA, or of an IKE SA. Algorithms by IANA number. */
export const captureKey = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("esp"),
    spi: z.number(),
    source: z.string(),
    destination: z.string(),
    encr: z.number(),
    encrKeyBits: z.number(),
    integ: z.number(),
    /** With the salt behind it. */
    encrKey: hex,
    integKey: hex,
  }),
  z.strictObject({
    kind: z.literal("ike"),
    initiatorSpi: z.string(),
    responderSpi: z.string(),
    encr: z.number(),
    encrKeyBits: z.number(),
    integ: z.number(),
    skEi: hex,
    skEr: hex,
    skAi: hex,
    skAr: hex,
  }),
]);
export type CaptureKey = z.infer<typeof captureKey>;
