/** What travels over the control socket, as schemas that daemon and command line share. */
import * as z from "zod";
import { CONTROL_ERROR_CODES } from "./error-code.ts";
import { configurationStatus } from "./reload-schema.ts";

/** Raised when a field changes its meaning; a client refuses any other. */
export const CONTROL_API_VERSION = 1;
/** Octets of a request's body, at most. */
export const REQUEST_OCTETS_MAX = 4096;
/** Octets of an answer that the client accepts, at most. */
export const ANSWER_OCTETS_MAX = 16 * 1024 * 1024;
/** Longest time that `up`, `down` and `rekey` may wait for the outcome. */
export const WAIT_SECONDS_MAX = 600;
/** Connections in one status document. */
export const CONNECTIONS_TOLD_MAX = 5000;
/** Connections and children together: some 1.3 kB each, so that they stay below {@link ANSWER_OCTETS_MAX}. */
export const STATUS_ENTRIES_MAX = 6000;
const NAME_LENGTH_MAX = 128;

const name = z
  .string()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .regex(/^[^/\s]+$/, "a name has no slash and no space");

const rates = z.strictObject({ inboundBitsPerSecond: z.number(), outboundBitsPerSecond: z.number() });
const counters = z.strictObject({
  inboundPackets: z.number(),
  inboundOctets: z.number(),
  outboundPackets: z.number(),
  outboundOctets: z.number(),
});

/** Of what the peer sends, by its sequence numbers: how many packets left there, and how many did not come, over all SAs. */
const loss = z.strictObject({
  sent: z.number(),
  lost: z.number(),
  /** The same over the last minute or so. */
  recent: z.strictObject({ seconds: z.number(), sent: z.number(), lost: z.number() }),
});

/** We send, and nothing comes back. */
const oneWay = z.strictObject({
  seconds: z.number(),
  /** Sent since then. */
  packets: z.number(),
  /** Something has come before. */
  hasReturned: z.boolean(),
  /** What it points to: `ikeAnswers` to ESP's way or the peer's policy, `ikeSilent` to the network. */
  cause: z.enum(["refusedHere", "otherSpi", "othersReturn", "ikeAnswers", "ikeSilent", "unknown"]),
  /** The first line says what is seen. */
  lines: z.array(z.string()).min(1),
});

/**
 * Why an operator should look: `notUp`, it should be; `failed`, the last try; `oneWay`, nothing comes back; `leftOut`, networks without an
 * SA; `rekeyRefused`; `loss`, of the peer's packets.
 */
const trouble = z.enum(["notUp", "failed", "oneWay", "leftOut", "rekeyRefused", "loss"]);
export type Trouble = z.infer<typeof trouble>;

/** What went wrong last, in words; the first line is the summary. Peer-supplied parts are already escaped. */
const failure = z.strictObject({
  /** Stable code of the notice. */
  code: z.string(),
  lines: z.array(z.string()).min(1),
  secondsAgo: z.number(),
});
export type Failure = z.infer<typeof failure>;

/** How the inner MTU comes about: path - outer - security, all in octets. */
const mtu = z.strictObject({
  inner: z.number(),
  path: z.number(),
  /** Outer IP header, which transport mode does not add, and with `encapsulation` udp the UDP header. */
  outer: z.number(),
  outerFamily: z.union([z.literal(4), z.literal(6)]),
  protocol: z.enum(["esp", "ah"]),
  /** What that protocol adds: headers, IV, trailer, ICV; and what a configured `mtu` leaves unused. */
  security: z.number(),
  /** Why: the link's or route's own; ICMP told it; the peer answered probes up to it; the process before had it; the configuration's `mtu`. */
  source: z.enum(["interface", "icmp", "probed", "kept", "configured"]),
  /** Who sent the ICMP. */
  reporter: z.string().optional(),
  /** `false`: nobody answers probes (manual keys), so ICMP alone can tell. */
  isProbed: z.boolean(),
});

/** What has to happen before it comes up. */
const waitsFor = z.enum(["peer", "packet", "operator", "name", "retry", "ikeSa"]).optional();

/** `up`: always; `on-demand`: for a packet; `respond`: when the peer calls. */
const keep = z.enum(["up", "on-demand", "respond"]);

export const childStatus = z.strictObject({
  name: z.string(),
  /** `manual`: its keys are in the configuration. `held`: on demand, waits for the first packet. */
  state: z.enum(["up", "connecting", "rekeying", "waiting", "held", "down", "manual"]),
  /** As configured; absent with manual keys. */
  keep: keep.optional(),
  /** Empty: nothing is wrong with it. */
  troubles: z.array(trouble),
  nextTryInSeconds: z.number().optional(),
  /** As negotiated while up, else as configured. */
  local: z.array(z.string()),
  remote: z.array(z.string()),
  suite: z.string().optional(),
  encapsulation: z.enum(["udp", "esp"]).optional(),
  inboundSpi: z.string().optional(),
  outboundSpi: z.string().optional(),
  /** Age of its SA. */
  establishedForSeconds: z.number().optional(),
  rekeyInSeconds: z.number().optional(),
  counters: counters.optional(),
  lastInboundSecondsAgo: z.number().optional(),
  lastOutboundSecondsAgo: z.number().optional(),
  loss: loss.optional(),
  oneWay: oneWay.optional(),
  /** Over the time since the last look, a few seconds. */
  rates: rates.optional(),
  /** SAs beside the one above, for the packets of some DSCP values or of one lane; with counters of their own. */
  siblings: z
    .array(
      z.strictObject({
        dscps: z.array(z.number()).optional(),
        lane: z.number().optional(),
        inboundSpi: z.string(),
        outboundSpi: z.string(),
        rekeyInSeconds: z.number(),
        counters: counters.optional(),
        rates: rates.optional(),
      }),
    )
    .optional(),
  /** Further SAs, for selectors that the one above leaves out: the peer takes a part of them in an SA. */
  parts: z
    .array(
      z.strictObject({
        local: z.array(z.string()),
        remote: z.array(z.string()),
        suite: z.string(),
        inboundSpi: z.string(),
        outboundSpi: z.string(),
        rekeyInSeconds: z.number(),
        counters: counters.optional(),
        rates: rates.optional(),
      }),
    )
    .optional(),
  /** Configured networks that no SA carries, while others carry the rest. */
  leftOut: z
    .array(
      z.strictObject({
        local: z.array(z.string()),
        remote: z.array(z.string()),
        nextTryInSeconds: z.number().optional(),
        failure: failure.optional(),
      }),
    )
    .optional(),
  mtu: mtu.optional(),
  /** What is done so that sizes and times of packets show less, in words. */
  flow: z.string().optional(),
  waitsFor,
  failure: failure.optional(),
});
export type ChildStatus = z.infer<typeof childStatus>;

export const connectionStatus = z.strictObject({
  name: z.string(),
  /** `waiting`: failed, and a next try is set. `listening`: waits for the peer or for the first packet. */
  state: z.enum(["up", "connecting", "rekeying", "waiting", "listening", "down", "manual"]),
  /** As configured; absent with manual keys. */
  keep: keep.optional(),
  /** Its own; its children have theirs. Empty: nothing is wrong with it. */
  troubles: z.array(trouble),
  /** Where the peer is, or what the configuration says while it is not known. */
  remote: z.string(),
  local: z.string().optional(),
  /** As proven; before that, of one of `remote.ids`, as configured. */
  remoteId: z.string().optional(),
  localId: z.string().optional(),
  nat: z.enum(["none", "local", "remote", "both"]).optional(),
  /** The last change of outer addresses: ours, the peer's, or the mapping of a NAT before us, which only the peer sees. */
  moved: z
    .strictObject({
      what: z.enum(["own", "peer", "mapping"]),
      from: z.string(),
      to: z.string(),
      secondsAgo: z.number(),
    })
    .optional(),
  suite: z.string().optional(),
  /** By what we and the peer proved our identities: `pre-shared key`, `certificate "CN=b", rsa-pss sha256`. */
  localProof: z.string().optional(),
  remoteProof: z.string().optional(),
  initiatorSpi: z.string().optional(),
  responderSpi: z.string().optional(),
  isInitiator: z.boolean().optional(),
  establishedForSeconds: z.number().optional(),
  rekeyInSeconds: z.number().optional(),
  nextTryInSeconds: z.number().optional(),
  waitsFor,
  failure: failure.optional(),
  /** What is said of the request that is under way, by ICMP, which may be forged, or by this host. */
  unreachable: z
    .strictObject({
      reason: z.enum(["port", "host", "net", "prohibited", "noRoute", "blocked"]),
      by: z.enum(["peer", "router", "host"]),
      text: z.string(),
      count: z.number(),
      secondsAgo: z.number(),
    })
    .optional(),
  /** Callers that were refused before they had proved who they are, and why the last one was. */
  refused: z.strictObject({ count: z.number(), last: failure }).optional(),
  /** Whose defaults lie below what the configuration says. */
  preset: z.string().optional(),
  children: z.array(childStatus),
  /** What was dropped last of its traffic, newest first; only where one connection is asked for. */
  recentDrops: z
    .array(
      z.strictObject({
        /** `10.1.0.5 -> 10.2.0.9 tcp 40000 -> 443` */
        packet: z.string(),
        direction: z.enum(["outbound", "inbound", "datagram"]),
        reason: z.string(),
        packets: z.number(),
        secondsAgo: z.number(),
      }),
    )
    .optional(),
});
export type ConnectionStatus = z.infer<typeof connectionStatus>;

export const statusDocument = z.strictObject({
  apiVersion: z.literal(CONTROL_API_VERSION),
  version: z.string(),
  uptimeSeconds: z.number(),
  configurationFile: z.string(),
  /** Absent while the gateway starts or stops. */
  configuration: configurationStatus.optional(),
  interfaces: z.array(z.strictObject({ name: z.string(), mtu: z.number().optional() })),
  lanes: z.number(),
  /** Who does ESP's ciphers: `libipsec-mb 1.3.0 (avx2)`, `OpenSSL 3.0.15 of Node`. */
  engine: z.string(),
  /** Of all connections and children, those that are left out below included. */
  totals: z.strictObject({
    connections: z.number(),
    connectionsUp: z.number(),
    children: z.number(),
    childrenUp: z.number(),
    /** Connections that have a trouble, or a child that has one. */
    inTrouble: z.number(),
  }),
  /** Those in trouble first where not all are told. */
  connections: z.array(connectionStatus),
  /** Connections that were left out because of the limit. */
  omitted: z.number(),
  /** Counted drops by reason; those that are zero may be absent. */
  drops: z.record(z.string(), z.number()),
  /** By the names of the configuration's keys; `missing`: not in this kernel, `refused`: a device refused it. */
  offloads: z.record(z.string(), z.enum(["on", "off", "missing", "refused"])),
  /** What the lanes' devices and sockets did since the start, by counter; empty before the first second. */
  transfers: z.record(z.string(), z.number()),
  /** What the operator should look at, a sentence each: forwarding is off, a warning of the configuration ... */
  advice: z.array(z.string()),
});
export type StatusDocument = z.infer<typeof statusDocument>;

/** What a client may ask of the status. */
export const statusQuery = z.strictObject({
  /** This connection alone, or all peers of it. */
  connection: name.optional(),
  limit: z.coerce.number().int().min(0).max(CONNECTIONS_TOLD_MAX).default(CONNECTIONS_TOLD_MAX),
});
export type StatusQuery = z.infer<typeof statusQuery>;

/** A connection, or one child of it. */
export const commandRequest = z.strictObject({
  connection: name,
  child: name.optional(),
  /** How long to wait for the outcome; 0 answers as soon as the command is under way. */
  waitSeconds: z.number().min(0).max(WAIT_SECONDS_MAX).default(30),
});
export type CommandRequest = z.infer<typeof commandRequest>;

/** `done`: it is as asked. `started`: under way, not waited for. `failed`, `timedOut`: see lines. */
export const commandOutcome = z.strictObject({
  outcome: z.enum(["done", "started", "failed", "timedOut"]),
  /** Stable code of the notice that explains a failure. */
  code: z.string().optional(),
  /** Words for the operator; may be empty. */
  lines: z.array(z.string()),
});
export type CommandOutcome = z.infer<typeof commandOutcome>;

export const controlErrorAnswer = z.strictObject({
  error: z.strictObject({ code: z.enum(CONTROL_ERROR_CODES), message: z.string() }),
});

export const CONTROL_PATHS = {
  status: "/v1/status",
  explain: "/v1/explain",
  traffic: "/v1/traffic",
  up: "/v1/up",
  down: "/v1/down",
  rekey: "/v1/rekey",
  metrics: "/v1/metrics",
  events: "/v1/events",
  openapi: "/v1/openapi.json",
  reload: "/v1/reload",
  reloadKeep: "/v1/reload/keep",
  reloadUndo: "/v1/reload/undo",
} as const;
export type CommandKind = "up" | "down" | "rekey";
