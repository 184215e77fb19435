/** `blackbox` over the control socket: what IKE did in the last minutes. */
import * as z from "zod";

export const BLACKBOX_PATH = "/v1/blackbox";

export const blackboxQuery = z.strictObject({
  /** That one and its peers alone. */
  connection: z.string().min(1).max(128).optional(),
});

const common = {
  secondsAgo: z.number(),
  /** `NAME` or `NAME#N`; absent: nobody knew yet who the peer was. */
  connection: z.string().optional(),
  child: z.string().optional(),
  /** So many in a row that say the same; `secondsAgo` is the last one's. */
  count: z.number(),
};

const blackboxEntry = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("message"),
    direction: z.enum(["inbound", "outbound"]),
    local: z.string(),
    remote: z.string(),
    /** `IKE_AUTH`, or a number that nobody has registered. */
    exchange: z.string(),
    messageId: z.number(),
    isResponse: z.boolean(),
    isProtected: z.boolean(),
    initiatorSpi: z.string(),
    responderSpi: z.string(),
    /** `SA 44`, `KE 72`, `N(INITIAL_CONTACT) 8`: types and octets, never what is in them. */
    payloads: z.array(z.string()),
    /** Octets on the wire; absent where it came in fragments. */
    octets: z.number().optional(),
    /** Fragments that it left in. */
    packets: z.number(),
    /** How often it was sent before. */
    repeats: z.number(),
  }),
  z.strictObject({
    ...common,
    kind: z.literal("decision"),
    /** Stable code of the notice. */
    code: z.string(),
    lines: z.array(z.string()).min(1),
  }),
]);
export type BlackboxEntry = z.infer<typeof blackboxEntry>;

export const blackboxDocument = z.strictObject({
  apiVersion: z.literal(1),
  /** How far back it reaches at most. */
  seconds: z.number(),
  /** The oldest first. */
  entries: z.array(blackboxEntry),
  /** Entries of this time that gave way to others. */
  leftOut: z.number(),
});
export type BlackboxDocument = z.infer<typeof blackboxDocument>;
