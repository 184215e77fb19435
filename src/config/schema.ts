/** The keys of a configuration file: which there are, what each may hold, and what is said about others. */
import * as z from "zod";
import { hours, minutes, seconds } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import { ProposalError, parseProposal, type SuiteProtocol } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { LANES_MAX, REPLAY_WINDOW_MAX, SELECTORS_PER_SIDE } from "../policy/sa-table.ts";
import { dscpClassesSchema } from "./dscp-classes.ts";
import { iptfsSchema, tfcSchema } from "./flow-confidentiality.ts";
import { fragmentation, mobike } from "./ike-transport.ts";
import { choice, integer, leaf, listOf, mapping, Refusal, text, yesOrNo } from "./leaf.ts";
import { metricsSchema } from "./metrics-listener.ts";
import { address, deviceName, interfaceAddress, mark, prefix, selector } from "./network.ts";
import { ppkId } from "./ppk.ts";
import { presetNamed } from "./preset.ts";
import { duration, octets, packets, share } from "./quantity.ts";
import { manualKey, preSharedKey, type SecretSettings } from "./secret.ts";
import { LATER_AUTHENTICATION, OF_ONE_SIDE, sides } from "./side-schema.ts";
import { printable } from "./yaml-text.ts";

/** Entries of a list that nothing else bounds. */
const LIST_MAX = 64;
const PROPOSALS_MAX = 16;
const POLICIES_MAX = 1024;
/** Shortest and longest time between rekeys. */
const REKEY_LEAST = seconds(5);
const REKEY_MOST = hours(24 * 30);
/** Shortest and longest time between authentications. */
const REAUTH_LEAST = seconds(5);
const REAUTH_MOST = hours(24 * 366);
/** Shortest and longest silence that ends a child SA. */
const INACTIVITY_LEAST = seconds(1);
const INACTIVITY_MOST = hours(24 * 30);
/** What a rekey may be early by. */
const JITTER_MOST = 0.5;
/** Longest path of a Unix socket. */
const SOCKET_PATH_LENGTH_MAX = 107;
/** Rules stand directly before and behind ours, and all of them before that of the table main, 32766. */
const PRIORITY_LEAST = 2;
const PRIORITY_MOST = 32764;
/** RFC 8200 section 5: no IPv6 link has less. */
const MTU_LEAST = 1280;
const MTU_MOST = 65535;
/** Octets of an inner packet that every host takes (RFC 791 section 3.2). */
const INNER_MTU_LEAST = 576;
/** Of the least packet that IPv4 carries whole, without headers, and of the largest. */
const MSS_LEAST = 28;
const MSS_MOST = 65495;

const optional = <T>(check: (value: unknown) => T) => z.optional(leaf(check));
const port = (value: unknown) => integer(value, "a UDP port", 1, 65535);
/** Names of connections and children: they appear in commands as NAME/CHILD and in instances as NAME#N. */
export function checkName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return;
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `"${printable(name)}" is no usable name; use up to 63 letters, digits, "_", "-" and ".", a letter or digit first`,
  );
}

const offload = optional(choice(["auto", "off"]));
/** `read_only: PATH` is `read_only: { path: PATH }`. */
const readOnlySocket = z.optional(
  z.preprocess(
    (value) => (typeof value === "string" ? { path: value } : value),
    mapping({ path: optional(socketPath), group: optional(groupName) }),
  ),
);

const gateway = mapping(
  {
    listen: optional(listenAddresses),
    ports: z.optional(mapping({ ike: optional(port), nat: optional(port) })),
    tun: z.optional(
      mapping({
        name: optional(deviceName),
        mtu: optional(deviceMtu),
      }),
    ),
    offloads: z.optional(
      mapping({ tso: offload, uso: offload, coalescing: offload, udp_segment: offload, udp_gro: offload }),
    ),
    routing: z.optional(
      mapping({
        table: optional((value) => integer(value, "a routing table", 1, 0xffffffff)),
        priority: optional((value) =>
          integer(value, "the priority of a rule", PRIORITY_LEAST, PRIORITY_MOST),
        ),
        mark: optional(mark),
      }),
    ),
    revocation: z.optional(
      mapping({ private: z.optional(listOf(leaf(prefix), "a prefix such as 10.0.0.0/8", LIST_MAX)) }),
    ),
    lanes: optional(laneCount),
    forwarding: optional(choice(["check", "lan"])),
    on_exit: optional(choice(["block", "open"])),
    control: z.optional(
      mapping({
        path: optional(socketPath),
        group: optional(groupName),
        allow_key_export: optional(yesOrNo),
        read_only: readOnlySocket,
      }),
    ),
    metrics: metricsSchema,
  },
  {
    later: {
      allow_key_export: "leave it out",
      web: "leave it out",
    },
    elsewhere: {
      interface: "tun: { name: ... }",
      mtu: "tun: { mtu: ... }",
      gso: "offloads",
      on_stop: "on_exit",
    },
  },
);

function listenAddresses(value: unknown): IpAddress[] {
  if (value === "all") return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > LIST_MAX)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `give 1 to ${LIST_MAX} addresses, or leave it out to listen on all`,
    );
  return list.map(address);
}

function deviceMtu(value: unknown): "auto" | number {
  return value === "auto" ? "auto" : integer(value, "auto, or an MTU", MTU_LEAST, MTU_MOST);
}

function laneCount(value: unknown): "auto" | number {
  return value === "auto" ? "auto" : integer(value, "auto, or a number of lanes", 1, LANES_MAX);
}

function socketPath(value: unknown): string {
  const given = text(value, "the absolute path of a Unix socket");
  if (given.startsWith("/") && Buffer.byteLength(given) <= SOCKET_PATH_LENGTH_MAX) return given;
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `"${printable(given)}" has to be an absolute path of at most ${SOCKET_PATH_LENGTH_MAX} octets`,
  );
}

function groupName(value: unknown): string {
  const given = text(value, "the name of a group");
  if (/^[a-z_][a-z0-9_-]{0,31}\$?$/i.test(given)) return given;
  throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no name of a group`);
}

const EXAMPLES = {
  ike: "a proposal such as aes256gcm16-prfsha384-x25519",
  esp: "a proposal such as aes256gcm16-x25519",
  ah: "a proposal such as sha256-x25519",
} as const;

function proposals(protocol: SuiteProtocol) {
  return z.optional(
    listOf(
      leaf((value): ProposalSuite | "default" => {
        const given = text(value, EXAMPLES[protocol]);
        if (given.trim() === "default") return "default";
        try {
          return parseProposal(given, protocol);
        } catch (error) {
          if (error instanceof ProposalError) throw new Refusal("CONFIG_PROPOSAL", error.message);
          throw error;
        }
      }),
      EXAMPLES[protocol],
      PROPOSALS_MAX,
    ),
  );
}

const rekeyTime = (value: unknown) => duration(value, REKEY_LEAST, REKEY_MOST);
const jitter = optional((value) => share(value, JITTER_MOST));
const isMapping = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
/** `rekey: 1h` is `rekey: { time: 1h }`. */
const shorthand = (value: unknown) => (value === undefined || isMapping(value) ? value : { time: value });

const childRekey = z.optional(
  z.preprocess(
    shorthand,
    mapping({ time: optional(rekeyTime), jitter, bytes: optional(octets), packets: optional(packets) }),
  ),
);
const ikeRekey = z.optional(z.preprocess(shorthand, mapping({ time: optional(rekeyTime), jitter })));

const selectors = listOf(leaf(selector), "a prefix such as 10.1.0.0/16", SELECTORS_PER_SIDE);
const keep = optional(choice(["up", "on-demand", "respond"]));
const priority = optional((value) => integer(value, "a priority", -1000, 1000));
const handling = {
  replay_window: optional((value) => integer(value, "a window in packets", 32, REPLAY_WINDOW_MAX)),
  df: optional(choice(["copy", "set", "clear"])),
  dscp: optional((value) => (value === "copy" ? "copy" : integer(value, "copy, or a DSCP", 0, 63))),
  ecn: optional(choice(["copy", "clear"])),
  mtu: optional((value) =>
    value === "auto" ? "auto" : integer(value, "auto, or an MTU", INNER_MTU_LEAST, MTU_MOST),
  ),
  mss: optional((value) =>
    value === "auto" || value === "off"
      ? value
      : integer(value, "auto, off, or a segment size", MSS_LEAST, MSS_MOST),
  ),
  tfc: tfcSchema,
  iptfs: iptfsSchema,
} as const;
const LATER_CHILD = {
  ipcomp: "leave it out",
};
const mode = optional(choice(["tunnel", "transport"], { beet: "use tunnel" }));

const child = mapping(
  {
    local: selectors,
    remote: selectors,
    esp: proposals("esp"),
    ah: proposals("ah"),
    rekey: childRekey,
    inactivity: optional((value) => duration(value, INACTIVITY_LEAST, INACTIVITY_MOST)),
    mode,
    keep,
    priority,
    dscp_sas: dscpClassesSchema,
    lane_sas: optional(choice(["auto", "off"])),
    sa_per: optional(choice(["auto", "pair", "host", "flow"])),
    rehearse: optional(choice(["on", "off"])),
    ...handling,
  },
  {
    later: LATER_CHILD,
    elsewhere: {
      local_ts: "local",
      remote_ts: "remote",
      esp_proposals: "esp",
      ah_proposals: "ah",
      proposals: "esp",
      start_action: "keep (up, on-demand or respond)",
      close_action: "keep (up, on-demand or respond)",
      dpd_action: "keep (up, on-demand or respond)",
      rekey_time: "rekey",
      life_time: "rekey",
      manual: "a connection's key manual, beside children",
      tfc_padding: "tfc",
      per_pair: "sa_per: pair",
      unique: "sa_per: host or flow",
    },
  },
);

function manualSa(secrets: SecretSettings) {
  return mapping({
    spi: leaf(manualSpi),
    esp: optional((value) => manualSuite(value, "esp")),
    ah: optional((value) => manualSuite(value, "ah")),
    key: optional((value) => manualKey(value, secrets)),
    integrity_key: optional((value) => manualKey(value, secrets)),
  });
}

function manualSpi(value: unknown): number {
  const parsed = typeof value === "string" && /^0x[0-9a-f]{1,8}$/i.test(value) ? Number(value) : value;
  return integer(parsed, "an SPI such as 0xc0ffee01", 256, 0xffffffff);
}

function manualSuite(value: unknown, protocol: "esp" | "ah"): ProposalSuite {
  const given = text(
    value,
    protocol === "esp" ? "a proposal such as aes256gcm16" : "a proposal such as sha256",
  );
  try {
    return parseProposal(given, protocol);
  } catch (error) {
    if (error instanceof ProposalError) throw new Refusal("CONFIG_PROPOSAL", error.message);
    throw error;
  }
}

function manual(secrets: SecretSettings) {
  return mapping(
    {
      local: selectors,
      remote: selectors,
      out: manualSa(secrets),
      in: manualSa(secrets),
      state: optional((value) => text(value, "a file that the service may write")),
      mode,
      priority,
      ...handling,
      replay_window: optional((value) =>
        integer(value, "a window in packets, 0 for none", 0, REPLAY_WINDOW_MAX),
      ),
    },
    { later: LATER_CHILD },
  );
}

/** The top level; connections are looked at one by one with {@link connectionSchemas}. */
export const fileSchema = mapping(
  {
    version: optional((value) => integer(value, "version: 1", 1, 1)),
    gateway: z.optional(gateway),
    connections: z.optional(z.unknown()),
    policies: z.optional(
      listOf(
        mapping(
          {
            local: z.optional(selectors),
            remote: z.optional(selectors),
            action: leaf(
              choice(["bypass", "discard"], { protect: "what is protected is a child of a connection" }),
            ),
            interface: optional(deviceName),
          },
          { elsewhere: { source: "local", destination: "remote" } },
        ),
        "an entry such as { remote: 10.99.0.0/16, action: discard }",
        POLICIES_MAX,
        0,
      ),
    ),
  },
  {
    later: { pools: "leave it out", ha: "leave it out" },
    elsewhere: {
      listen: "gateway.listen",
      tun: "gateway.tun",
      ports: "gateway.ports",
      routing: "gateway.routing",
      forwarding: "gateway.forwarding",
      on_exit: "gateway.on_exit",
      control: "gateway.control",
      secrets: "psk, in each connection",
      conn: "connections",
      manual: "connections.NAME.manual",
    },
  },
);

/** One connection, and one of its `remote.ids`; built for each load because secrets are read on the way. */
export function connectionSchemas(secrets: SecretSettings) {
  const { sides: ofSides, oneOfMany } = sides(secrets);
  return { connection: connectionSchema(secrets, ofSides), oneOfMany };
}

type Sides = ReturnType<typeof sides>["sides"];

/** `interface: tungate1` is `interface: { name: tungate1 }`. */
const device = z.optional(
  z.preprocess(
    (value) => (value === undefined || isMapping(value) ? value : { name: value }),
    mapping({
      name: optional(deviceName),
      addresses: z.optional(listOf(leaf(interfaceAddress), "an address such as 169.254.21.6/30", LIST_MAX)),
    }),
  ),
);

function connectionSchema(secrets: SecretSettings, ofSides: Sides) {
  return mapping(
    {
      ...ofSides,
      ppk: z.optional(
        listOf(
          mapping({
            id: leaf(ppkId),
            secret: leaf((value) => preSharedKey(value, secrets)),
            required: optional(yesOrNo),
          }),
          'a key: { id: "gw-paris", secret: { file: secrets/paris-ppk } }',
          LIST_MAX,
        ),
      ),
      keep,
      encapsulation: optional(choice(["auto", "udp", "esp"], { tcp: "use auto" })),
      preset: optional((value) => presetNamed(value).name),
      interface: device,
      routes: optional(routes),
      ike: z.optional(
        mapping(
          {
            proposals: proposals("ike"),
            rekey: ikeRekey,
            liveness: optional((value) => duration(value, seconds(1), minutes(60))),
            fragmentation: optional(fragmentation),
            mobike: optional(mobike),
            reauth: optional((value) => duration(value, REAUTH_LEAST, REAUTH_MOST)),
            unique: optional(choice(["replace", "keep", "reject", "never"])),
            childless: optional(choice(["allow", "prefer", "never"])),
            sha1_signatures: optional(yesOrNo),
          },
          {
            elsewhere: {
              dpd: "liveness",
              dpd_delay: "liveness",
              rekey_time: "rekey",
              reauth_time: "reauth",
              uniqueids: "unique",
              sha1: "sha1_signatures",
            },
          },
        ),
      ),
      children: z.optional(namedMapping("children")),
      manual: z.optional(namedMapping("manual")),
    },
    {
      later: LATER_AUTHENTICATION,
      elsewhere: {
        local_addrs: "local.address",
        remote_addrs: "remote.address",
        left: "local.address",
        right: "remote.address",
        leftid: "local.id",
        rightid: "remote.id",
        leftsubnet: "children.NAME.local",
        rightsubnet: "children.NAME.remote",
        remote_port: "remote.port",
        proposals: "ike.proposals",
        dpd_delay: "ike.liveness",
        rekey_time: "ike.rekey",
        reauth_time: "ike.reauth",
        reauth: "ike.reauth",
        unique: "ike.unique",
        childless: "ike.childless",
        ...OF_ONE_SIDE,
        leftcert: "local.certificate",
        rightcert: "remote.certificate",
        secret: "psk",
        id: "local.id or remote.id",
        encap: "encapsulation",
        mode: "children.NAME.mode",
      },
    },
  );
}

/** A mapping from names to what is looked at one by one. */
function namedMapping(what: string) {
  return leaf((value): Readonly<Record<string, unknown>> => {
    if (!isMapping(value))
      throw new Refusal("CONFIG_WRONG_TYPE", `${what} has to be a mapping from names to settings`);
    return value as Readonly<Record<string, unknown>>;
  });
}

function routes(value: unknown) {
  if (value === "auto" || value === "none") return value;
  const list = Array.isArray(value) ? value : [value];
  if (list.length > LIST_MAX) throw new Refusal("CONFIG_BAD_VALUE", `has more than ${LIST_MAX} entries`);
  return list.map(prefix);
}

export const childSchema = child;
export const manualSchema = manual;
export type GatewayInput = z.output<typeof gateway>;
export type FileInput = z.output<typeof fileSchema>;
export type ConnectionInput = z.output<ReturnType<typeof connectionSchema>>;
export type OneOfManyInput = z.output<ReturnType<typeof sides>["oneOfMany"]>;
export type ChildInput = z.output<typeof child>;
export type ManualInput = z.output<ReturnType<typeof manual>>;
export type ManualSaInput = ManualInput["out"];
