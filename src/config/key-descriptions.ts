/** What each key is, for editors: a sentence, and the shape of values that are neither mappings nor one of a few words. */
import { REPLAY_WINDOW_MAX } from "../policy/sa-table.ts";
import { PRESET_NAMES } from "./preset.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface KeyDescription {
  readonly description: string;
  /** Of the value, or of one entry where a list may stand. */
  readonly value?: JsonSchema;
  /** What may stand in place of the mapping. */
  readonly short?: JsonSchema;
}

const TEXT: JsonSchema = { type: "string", minLength: 1 };
const FLAG: JsonSchema = { type: "boolean" };
const whole = (minimum: number, maximum: number): JsonSchema => ({ type: "integer", minimum, maximum });
const orWord = (words: readonly string[], other: JsonSchema): JsonSchema => ({
  anyOf: [{ enum: words }, other],
});
const ADDRESS: JsonSchema = { type: "string", pattern: "^[0-9A-Fa-f.:]+$" };
const PREFIX: JsonSchema = { type: "string", pattern: "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$" };
const DURATION: JsonSchema = {
  type: "string",
  pattern: "^\\s*([0-9]+(\\.[0-9]+)?\\s*(ms|s|min|m|h|d)\\s*)+$",
};
const SHARE: JsonSchema = {
  anyOf: [
    { type: "string", pattern: "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$" },
    { type: "number", minimum: 0, maximum: 0.5 },
  ],
};
const AMOUNT: JsonSchema = {
  anyOf: [
    { type: "string", pattern: "^\\s*[0-9]+(\\.[0-9]+)?\\s*([kKmMgGtT]i?)?[bB]?\\s*$" },
    { type: "number", minimum: 1 },
  ],
};
const COUNT: JsonSchema = {
  anyOf: [
    { type: "number", minimum: 1 },
    { type: "string", pattern: "^[0-9]+(\\.[0-9]+)?([eE][0-9]+)?$" },
  ],
};
const SWITCH: JsonSchema = { enum: [true, false, "yes", "no"] };
const DEVICE: JsonSchema = { type: "string", pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$" };
const PORT = whole(1, 65535);
const SECRET: JsonSchema = {
  type: "object",
  properties: {
    file: { ...TEXT, description: "A file that only its owner can read, relative to this one" },
    env: { ...TEXT, description: "An environment variable" },
    credential: { ...TEXT, description: "A credential that systemd gives to the service" },
    encoding: { enum: ["text", "hex", "base64"], description: "How the secret is written" },
  },
  oneOf: [{ required: ["file"] }, { required: ["env"] }, { required: ["credential"] }],
  additionalProperties: false,
};
const MANUAL_KEY: JsonSchema = { anyOf: [{ type: "string", pattern: "^(0[xX])?[0-9A-Fa-f\\s]+$" }, SECRET] };
const KEY_FILE: JsonSchema = {
  anyOf: [
    TEXT,
    {
      type: "object",
      properties: { file: TEXT, credential: TEXT, password: SECRET },
      oneOf: [{ required: ["file"] }, { required: ["credential"] }],
      additionalProperties: false,
    },
  ],
};
const SELECTOR: JsonSchema = {
  anyOf: [
    { type: "string", pattern: "^[0-9A-Fa-f.:/ -]+(\\[[^\\]]*\\])?$" },
    {
      type: "object",
      properties: {
        prefix: PREFIX,
        protocol: { type: ["string", "integer"] },
        port: { type: ["string", "integer"] },
      },
      required: ["prefix"],
      additionalProperties: false,
    },
  ],
};
const AUTH = { enum: ["psk", "certificate", "pubkey"] };
const AUTHENTICATION: JsonSchema = {
  anyOf: [AUTH, { type: "array", items: AUTH, minItems: 1, maxItems: 1 }],
};
const OFFLOAD = "auto: used until the kernel or a device refuses it; off: to find out whether it is to blame";

/** By path: `gateway`, `connection`, `child`, `manual`, `peer` (an entry of remote.ids) and `policies`. */
export const KEY_DESCRIPTIONS: Readonly<Record<string, KeyDescription>> = {
  version: { description: "The version of this notation", value: { const: 1 } },
  gateway: { description: "Settings of the gateway as a whole" },
  connections: { description: "Peers by name" },
  policies: { description: "What happens to packets that are no child's, from top to bottom" },
  "policies.local": {
    description: "Selectors of this side; everything where it is left out",
    value: SELECTOR,
  },
  "policies.remote": {
    description: "Selectors of the other side; everything where it is left out",
    value: SELECTOR,
  },
  "policies.action": { description: "bypass: stays out of the tunnel, in clear; discard" },
  "policies.interface": { description: "One TUN device; every one where it is left out", value: DEVICE },

  "gateway.listen": {
    description: "Outer addresses to receive on and send from",
    value: {
      anyOf: [{ const: "all" }, ADDRESS, { type: "array", items: ADDRESS, minItems: 1, maxItems: 64 }],
    },
  },
  "gateway.ports": { description: "UDP ports of ours" },
  "gateway.ports.ike": { description: "For IKE", value: PORT },
  "gateway.ports.nat": { description: "For IKE and ESP through NAT", value: PORT },
  "gateway.tun": { description: "The TUN device of connections that name none" },
  "gateway.tun.name": { description: "Its name", value: DEVICE },
  "gateway.tun.mtu": {
    description: "auto: what fits the outer path; a number is the most that the device gets",
    value: orWord(["auto"], whole(1280, 65535)),
  },
  "gateway.offloads": { description: "Packets that pass the kernel in one piece: most of the speed" },
  "gateway.offloads.tso": { description: `TCP superpackets of the machine. ${OFFLOAD}` },
  "gateway.offloads.uso": { description: `UDP superpackets of the machine (Linux 6.2). ${OFFLOAD}` },
  "gateway.offloads.coalescing": {
    description: `Consecutive packets handed to the machine as one. ${OFFLOAD}`,
  },
  "gateway.offloads.udp_segment": { description: `Many ESP datagrams with one call. ${OFFLOAD}` },
  "gateway.offloads.udp_gro": { description: `Many ESP datagrams from the kernel at once. ${OFFLOAD}` },
  "gateway.routing": { description: "Where routes into the tunnel stand" },
  "gateway.routing.table": {
    description: "Routing table, none of the system's own",
    value: whole(1, 0xffffffff),
  },
  "gateway.routing.priority": {
    description: "Priority of the rule that leads there",
    value: whole(2, 32764),
  },
  "gateway.routing.mark": { description: "Mark and mask of the gateway's own packets", value: TEXT },
  "gateway.revocation": { description: "Where CRLs and OCSP responders may be asked" },
  "gateway.revocation.private": {
    description: "Private prefixes where they may be; public ones always may",
    value: PREFIX,
  },
  "gateway.lanes": {
    description: "Threads that carry packets; auto: half of the processors, at most 8",
    value: orWord(["auto"], whole(1, 64)),
  },
  "gateway.forwarding": {
    description: "check: say which interfaces do not forward; lan: switch it on for those concerned",
  },
  "gateway.on_exit": {
    description:
      "block: what is protected stays unreachable while the gateway is stopped; open: other routes hold again",
  },
  "gateway.control": { description: "The socket of tungate's commands" },
  "gateway.control.path": {
    description: "Absolute path of the socket",
    value: { type: "string", pattern: "^/.{0,106}$" },
  },
  "gateway.control.group": { description: "Group whose members may use it", value: TEXT },
  "gateway.control.allow_key_export": {
    description: "Whoever may use the socket may have the keys of SAs",
    value: { type: "boolean" },
  },
  "gateway.control.read_only": {
    description: "A second socket that only answers questions",
    short: { type: "string", pattern: "^/.{0,106}$" },
  },
  "gateway.control.read_only.path": {
    description: "Absolute path of that socket",
    value: { type: "string", pattern: "^/.{0,106}$" },
  },
  "gateway.control.read_only.group": {
    description: "Group whose members may use it; without one that of gateway.control.group",
    value: TEXT,
  },
  "gateway.metrics": {
    description: "Where Prometheus may ask",
    short: { type: "string", pattern: ":[0-9]{1,5}$" },
  },
  "gateway.metrics.listen": {
    description: "Address and port, 127.0.0.1:9464",
    value: { type: "string", pattern: ":[0-9]{1,5}$" },
  },
  "gateway.metrics.hosts": { description: "Names by which it may be asked", value: TEXT },

  "connection.local": { description: "Our side" },
  "connection.local.address": {
    description: "Outer address of ours; the one that leads to the peer where it is left out",
    value: ADDRESS,
  },
  "connection.local.id": {
    description: "What we call ourselves: gw.example.net, ip:, fqdn:, email:, dn:, keyid:",
    value: TEXT,
  },
  "connection.local.auth": { description: "How we prove it", value: AUTHENTICATION },
  "connection.local.psk": {
    description: "The key that proves us, where it differs from the peer's",
    value: SECRET,
  },
  "connection.local.certificate": {
    description: "PEM or DER file with our certificate and the intermediate CAs'",
    value: TEXT,
  },
  "connection.local.private_key": {
    description: "File with the private key, readable by its owner alone",
    value: KEY_FILE,
  },
  "connection.local.pkcs12": { description: "PKCS#12 file with key and certificates", value: KEY_FILE },
  "connection.local.rsa_padding": { description: "How RSA keys sign" },
  "connection.remote": { description: "The peer" },
  "connection.remote.address": {
    description: "Where the peer is: IP address, DNS name, prefix, or any",
    value: TEXT,
  },
  "connection.remote.port": {
    description: "Where the peer listens for IKE; a call to 4500 begins at the NAT port",
    value: PORT,
  },
  "connection.remote.id": {
    description: "What the peer has to call itself; any accepts every identity that has the key",
    value: TEXT,
  },
  "connection.remote.auth": { description: "How the peer proves it", value: AUTHENTICATION },
  "connection.remote.psk": {
    description: "The key that proves the peer, where it differs from ours",
    value: SECRET,
  },
  "connection.remote.ca": {
    description: "File with certificates of the CAs that may vouch for the peer",
    value: TEXT,
  },
  "connection.remote.certificate": { description: "File with the peer's own certificate", value: TEXT },
  "connection.remote.public_key": { description: "File with the peer's raw public key", value: TEXT },
  "connection.remote.revocation": {
    description: "soft: what is said to be revoked is refused; strict: also what nobody says is good; off",
  },
  "connection.remote.crl": { description: "File with a CRL of the CA", value: TEXT },
  "connection.remote.ids": {
    description: "Many peers by identity, each with its own key, networks and address",
  },
  "connection.auth": { description: "How both sides prove their identity", value: AUTHENTICATION },
  "connection.psk": {
    description: "Where the pre-shared key of both sides is; it never stands here itself",
    value: SECRET,
  },
  "connection.ppk": { description: "Postquantum preshared keys (RFC 8784)" },
  "connection.ppk.id": { description: "The name that both ends have for the key", value: TEXT },
  "connection.ppk.secret": { description: "Where it is", value: SECRET },
  "connection.ppk.required": {
    description: "false: a peer without such a key is taken all the same",
    value: FLAG,
  },
  "connection.keep": {
    description:
      "up: established at start and again for ever; on-demand: when a packet wants it; respond: only the peer calls",
  },
  "connection.encapsulation": {
    description: "auto: ESP in UDP wherever the peer can; udp; esp: raw, which fails on a NAT",
  },
  "connection.preset": {
    description: "What kind of gateway the peer is: its defaults lie below what stands here",
    value: { enum: PRESET_NAMES },
  },
  "connection.interface": { description: "A TUN device of its own", short: DEVICE },
  "connection.interface.name": { description: "Its name", value: DEVICE },
  "connection.interface.addresses": {
    description: "Its addresses with the length of their network, 169.254.21.6/30",
    value: PREFIX,
  },
  "connection.routes": {
    description: "auto: to the remote networks, never a default route; none; or prefixes",
    value: { anyOf: [{ enum: ["auto", "none"] }, PREFIX, { type: "array", items: PREFIX, maxItems: 64 }] },
  },
  "connection.ike": { description: "How IKE talks to the peer" },
  "connection.ike.proposals": {
    description: "What may be negotiated for IKE, best first: aes256gcm16-prfsha384-x25519",
    value: TEXT,
  },
  "connection.ike.rekey": {
    description: "When the keys of the IKE SA are replaced (5s to 30d)",
    short: DURATION,
  },
  "connection.ike.rekey.time": { description: "After how long", value: DURATION },
  "connection.ike.rekey.jitter": {
    description: "The part of it that is taken off at random, up to 50%",
    value: SHARE,
  },
  "connection.ike.liveness": {
    description: "After so long without a sign of life the peer is asked for one (1s to 60m)",
    value: DURATION,
  },
  "connection.ike.fragmentation": {
    description: "Long messages in small packets (RFC 7383): true, false, or the octets of the largest",
    value: { anyOf: [SWITCH, whole(576, 9000)] },
  },
  "connection.ike.mobike": {
    description: "Outer addresses may change without new SAs (RFC 4555)",
    value: SWITCH,
  },
  "connection.ike.reauth": { description: "How old an authentication may get (5s to 366d)", value: DURATION },
  "connection.ike.unique": { description: "What becomes of an IKE SA when its peer sets up another one" },
  "connection.ike.childless": { description: "IKE SAs without a child (RFC 6023)" },
  "connection.ike.sha1_signatures": {
    description: "RSA over SHA-1 for very old peers; there is a warning at each start",
    value: FLAG,
  },
  "connection.children": { description: "What the connection carries, by name: each is a child SA" },
  "connection.manual": { description: "Children whose keys are written down instead of negotiated" },

  "peer.address": { description: "Where this peer is; it is called there", value: TEXT },
  "peer.keep": { description: "up with an address of its own that can be called, else respond" },
  "peer.networks": { description: "The peer's networks, within the children's remote", value: SELECTOR },
  "peer.psk": { description: "The key that this peer and we have for each other", value: SECRET },

  "child.local": {
    description: "Our networks: 10.1.0.0/16, or narrower 10.1.0.0/16[tcp/443]",
    value: SELECTOR,
  },
  "child.remote": { description: "The peer's networks", value: SELECTOR },
  "child.esp": { description: "What may be negotiated for ESP, best first: aes256gcm16-x25519", value: TEXT },
  "child.ah": {
    description: "In place of esp: AH, which proves where packets come from and hides nothing",
    value: TEXT,
  },
  "child.rekey": { description: "When the keys are replaced, whichever comes first", short: DURATION },
  "child.rekey.time": { description: "After how long (5s to 30d)", value: DURATION },
  "child.rekey.jitter": {
    description: "The part of each that is taken off at random, up to 50%",
    value: SHARE,
  },
  "child.rekey.bytes": { description: "After so much data, 500GiB", value: AMOUNT },
  "child.rekey.packets": { description: "After so many packets, 4e9", value: COUNT },
  "child.inactivity": {
    description: "A child that carried nothing for so long is closed (1s to 30d); not with keep: up",
    value: DURATION,
  },
  "child.mode": { description: "transport protects what the two gateways say to each other" },
  "child.keep": { description: "That of the connection unless told" },
  "child.priority": {
    description: "Where two children match the same packets the higher one has them",
    value: whole(-1000, 1000),
  },
  "child.dscp_sas": {
    description: "SAs of their own for some DSCP values: [ef, [af11, af12]]",
    value: { anyOf: [whole(0, 63), TEXT] },
  },
  "child.lane_sas": { description: "off: no SA of its own for each lane, although the peer knows RFC 9611" },
  "child.sa_per": {
    description: "What one SA carries: all, one pair of networks, one pair of hosts, one flow",
  },
  "child.rehearse": { description: "on: rekeys the first SA at once, so that a mismatch shows now" },
  "child.replay_window": {
    description: "Packets that may come out of order",
    value: whole(32, REPLAY_WINDOW_MAX),
  },
  "child.df": { description: "Don't Fragment of the outer IPv4 header" },
  "child.dscp": {
    description: "Of the outer header: copy of the inner one, or 0 to 63",
    value: orWord(["copy"], whole(0, 63)),
  },
  "child.ecn": { description: "copy: congestion marks pass through the tunnel" },
  "child.mtu": {
    description: "Octets of the largest inner packet; auto: what the path carries",
    value: orWord(["auto"], whole(576, 65535)),
  },
  "child.mss": {
    description: "TCP's maximum segment size: auto lowers it to what fits, off leaves it alone",
    value: orWord(["auto", "off"], whole(28, 65495)),
  },
  "child.tfc": {
    description: "Padding, and dummies between the packets",
    short: { anyOf: [{ enum: ["mtu", "off", "refuse"] }, whole(64, 9000)] },
  },
  "child.tfc.pad": {
    description: "mtu, a number of octets, or refuse",
    value: orWord(["mtu", "off", "refuse"], whole(64, 9000)),
  },
  "child.tfc.dummies": { description: "Packets a second that dummies fill up to", value: whole(0, 10_000) },
  "child.iptfs": { description: "IP-TFS (RFC 9347): packets of one size at one rate, or several in one" },
  "child.iptfs.mode": { description: "constant rate, or no more packets than needed" },
  "child.iptfs.rate": {
    description: "The bandwidth that constant takes: 10Mbit",
    value: { type: "string", pattern: "^\\s*[0-9]+(\\.[0-9]+)?\\s*[kKmMgG]?[bB][iI][tT](/s)?\\s*$" },
  },
  "child.iptfs.packet_size": {
    description: "Octets of an outer packet",
    value: orWord(["mtu"], whole(256, 9000)),
  },
  "child.iptfs.delay": { description: "How long aggregate lets a packet wait (0s to 1s)", value: DURATION },
  "child.iptfs.fragment": { description: "false: no packet is cut in pieces", value: FLAG },
  "child.iptfs.congestion_control": {
    description:
      "A constant rate gives way where packets are lost (loss) or also where routers mark them (ecn)",
  },
  "child.iptfs.reorder": { description: "Payloads that wait for one that comes late", value: whole(0, 64) },

  "manual.out": { description: "The SA that we send with" },
  "manual.in": { description: "The SA that we receive with" },
  "manual.out.spi": {
    description: "256 to 0xffffffff; the peer's in has the same",
    value: { anyOf: [whole(256, 0xffffffff), { type: "string", pattern: "^0x[0-9A-Fa-f]{1,8}$" }] },
  },
  "manual.out.esp": { description: "A proposal with one cipher and no key exchange", value: TEXT },
  "manual.out.ah": { description: "In place of esp: an integrity algorithm", value: TEXT },
  "manual.out.key": { description: "The cipher's key, with its salt", value: MANUAL_KEY },
  "manual.out.integrity_key": { description: "The key of the integrity algorithm", value: MANUAL_KEY },
  "manual.state": { description: "A file that reserves sequence numbers across restarts", value: TEXT },
  "manual.replay_window": {
    description: "Packets that may come out of order, 0 for none",
    value: whole(0, REPLAY_WINDOW_MAX),
  },
};
