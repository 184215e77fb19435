/** `explain`: what becomes of a packet. */
import * as z from "zod";
import { parseIpAddress } from "../base/ip-address.ts";
import { parseProtocol } from "../policy/selector-text.ts";

const address = z.string().refine((text) => parseIpAddress(text) !== undefined, "it is no IP address");
const port = z.coerce.number().int().min(0).max(65_535);

export const explainQuery = z
  .strictObject({
    source: address,
    destination: address,
    /** `tcp`, `udp`, `icmp` ... or the number. */
    protocol: z
      .string()
      .refine((text) => parseProtocol(text) !== undefined, "it is no IP protocol")
      .optional(),
    sourcePort: port.optional(),
    /** With ICMP the type. */
    port: port.optional(),
  })
  .refine(
    ({ source, destination }) => source.includes(":") === destination.includes(":"),
    "both addresses have to be of one family",
  );
export type ExplainQuery = z.infer<typeof explainQuery>;

const step = z.strictObject({
  step: z.enum([
    "route",
    "forwarding",
    "policy",
    "noPolicy",
    "sa",
    "noSa",
    "noManualSa",
    "narrowed",
    "size",
    "drops",
  ]),
  label: z.string(),
  lines: z.array(z.string()).min(1),
});

const way = z.strictObject({
  /** `out`: from behind us to behind the peer, whichever of both was asked for. */
  way: z.enum(["out", "in"]),
  packet: z.string(),
  steps: z.array(step),
  fate: z.enum(["protected", "delivered", "held", "dropped", "clear", "waits"]),
  fateText: z.string(),
});

export const explainAnswer = z.strictObject({
  /** The one that was asked about first, then its answer; the second is absent where no tunnel is meant. */
  ways: z.array(way).min(1).max(2),
  /** What to do; absent: nothing is in the way. */
  next: z.strictObject({ code: z.string(), lines: z.array(z.string()).min(1) }).optional(),
});
export type ExplainAnswer = z.infer<typeof explainAnswer>;
