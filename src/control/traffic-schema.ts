/** `traffic`: what each child carries, in few words, for whoever looks every second. */
import * as z from "zod";

const trafficRow = z.strictObject({
  connection: z.string(),
  child: z.string(),
  state: z.string(),
  /** The child's or its connection's; empty: nothing is wrong. */
  troubles: z.array(z.string()),
  /** Of the SAs that are there now: after a rekey they begin anew. */
  inboundPackets: z.number(),
  inboundOctets: z.number(),
  outboundPackets: z.number(),
  outboundOctets: z.number(),
  /** In the last minute: how many packets the peer sent, and how many of them did not come. */
  recentSent: z.number(),
  recentLost: z.number(),
});
export type TrafficRow = z.infer<typeof trafficRow>;

export const trafficDocument = z.strictObject({
  /** Since the start of the gateway, by the clock that the rates are to be reckoned with. */
  uptimeSeconds: z.number(),
  rows: z.array(trafficRow),
  /** Children that were left out because there are too many. */
  omitted: z.number(),
  /** As in the status. */
  drops: z.record(z.string(), z.number()),
});
export type TrafficDocument = z.infer<typeof trafficDocument>;

/** Children in one document: a megabyte or two. */
export const TRAFFIC_ROWS_MAX = 8192;
