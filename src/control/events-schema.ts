/** Events as they are streamed: what happens, in order, each with an id by which a client takes up the stream again. */
import * as z from "zod";

const common = {
  /** Names the place behind this event in the stream; another start of the daemon has other ones. */
  id: z.string(),
  /** RFC 3339, UTC. */
  at: z.string(),
};
const lines = z.array(z.string()).min(1);

/** What the log says too; peer-supplied parts are escaped. Repeats and what strangers cause are limited as in the log. */
const noticeEvent = z.strictObject({
  ...common,
  type: z.literal("notice"),
  /** Stable code of the notice. */
  code: z.string(),
  level: z.enum(["debug", "info", "warn", "error"]),
  connection: z.string().optional(),
  child: z.string().optional(),
  lines,
});

/** A connection, or with `child` one of its children, is in another state; the words are those of `status`. */
const stateEvent = z.strictObject({
  ...common,
  type: z.literal("state"),
  connection: z.string(),
  child: z.string().optional(),
  from: z.string(),
  to: z.string(),
});

/** Outer addresses changed and the SAs followed: ours, the peer's, or the mapping of a NAT before us. */
const movedEvent = z.strictObject({
  ...common,
  type: z.literal("moved"),
  code: z.string(),
  connection: z.string().optional(),
  what: z.enum(["own", "peer", "mapping"]),
  from: z.string(),
  to: z.string(),
  lines,
});

/** What was dropped since the event of this type before it, by reason. */
const dropsEvent = z.strictObject({
  ...common,
  type: z.literal("drops"),
  seconds: z.number(),
  drops: z.record(z.string(), z.number()),
});

/** The client was too slow, or came back too late: so many events are gone. Absent: the daemon has been started anew. */
const lostEvent = z.strictObject({ ...common, type: z.literal("lost"), count: z.number().optional() });

export const gatewayEvent = z.discriminatedUnion("type", [
  noticeEvent,
  stateEvent,
  movedEvent,
  dropsEvent,
  lostEvent,
]);
export type GatewayEvent = z.infer<typeof gatewayEvent>;

/** Longest name that a client may filter by. */
const NAME_LENGTH_MAX = 128;
export const eventsQuery = z.strictObject({
  /** This connection's alone, and `lost`; `NAME` stands for its peers `NAME#N` as well. */
  connection: z.string().min(1).max(NAME_LENGTH_MAX).optional(),
  /** In place of the header Last-Event-ID, for clients that cannot set it. */
  after: z.string().max(NAME_LENGTH_MAX).optional(),
});
