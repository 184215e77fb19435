/** What `tungate probe --json` prints. The peer's own words in it are escaped. */
import * as z from "zod";

/** Keywords as in `ike.proposals`. */
const words = z.array(z.string());
const judged = z.strictObject({ accepted: words, refused: words, unclear: words });

/** Whether the peer takes proposals that somebody has. */
const triedProposals = {
  verdict: z.enum(["accepted", "refused", "unclear"]),
  text: z.string(),
};

export const probeDocument = z.strictObject({
  host: z.string(),
  address: z.string(),
  port: z.number(),
  /** Our endpoint, `192.0.2.1:51234`. */
  from: z.string(),
  /** `refuses`: IKEv2 answers and takes nothing. `unclear`: it answers, and neither chooses nor refuses. */
  answer: z.enum(["ikev2", "refuses", "ikev1", "silent", "unclear"]),
  /** The same in a sentence, with what ICMP says of it. */
  summary: z.string(),
  /** Port 4500: whether it answers there too. */
  natPort: z.enum(["answers", "silent", "notAsked"]),
  /** As the peer's hashes say; absent where it sent none. */
  nat: z.strictObject({ weAreBehind: z.boolean(), peerIsBehind: z.boolean() }).optional(),
  /** What it chose of all that may be advised, or (`isLegacy`) of all there is. */
  chosen: z.string().optional(),
  isLegacy: z.boolean(),
  /** Absent where it could not be found out; `unclear`: no usable answer, or not asked any more. */
  sets: z
    .strictObject({
      encryption: judged,
      prf: judged,
      integrity: judged,
      keyExchange: judged,
      additionalKeyExchange: judged,
    })
    .optional(),
  /** Absent without a full answer. */
  features: z
    .strictObject({
      natTraversal: z.boolean(),
      fragmentation: z.boolean(),
      intermediate: z.boolean(),
      childless: z.boolean(),
      ppk: z.boolean(),
      /** Of signatures; absent: not said. */
      signatureHashes: words.optional(),
      asksForCertificate: z.boolean(),
      /** SHA-1 of the keys of CAs that it names. */
      authorities: z.array(z.string()),
    })
    .optional(),
  vendorIds: z.array(z.strictObject({ octets: z.string(), text: z.string(), name: z.string().optional() })),
  /** For `ike.proposals`, with what is to be said against it. */
  suggestion: z.strictObject({ proposal: z.string(), warnings: z.array(z.string()) }).optional(),
  /** Connections of the configuration that are for this peer, and whether it takes their proposals. */
  configured: z.array(z.strictObject({ connection: z.string(), ...triedProposals })),
  /** The same for the preset that was asked for. */
  preset: z.strictObject({ name: z.string(), ...triedProposals }).optional(),
  questions: z.number(),
  cookies: z.number(),
  /** It was left alone before all was asked: it fell silent, or had been asked enough. */
  isCutShort: z.boolean(),
  /** What this cannot tell. */
  limits: z.array(z.string()),
});
export type ProbeDocument = z.infer<typeof probeDocument>;
