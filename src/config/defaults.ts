/** What holds where the file says nothing, in the file's own notation; a test holds it against what the reader fills in. */

export const GATEWAY_DEFAULTS = {
  listen: "all",
  ports: { ike: 500, nat: 4500 },
  tun: { name: "tungate0", mtu: "auto" },
  offloads: { tso: "auto", uso: "auto", coalescing: "auto", udp_segment: "auto", udp_gro: "auto" },
  routing: { table: 220, priority: 220, mark: "0x54470000/0xffff0000" },
  lanes: "auto",
  forwarding: "check",
  on_exit: "block",
  control: { path: "/run/tungate/control.sock" },
} as const;

export const CONNECTION_DEFAULTS = {
  remote: { port: 500 },
  encapsulation: "auto",
  routes: "auto",
  ike: {
    proposals: ["default"],
    rekey: { time: "4h", jitter: "20%" },
    liveness: "30s",
    fragmentation: true,
    mobike: true,
    unique: "replace",
    childless: "allow",
    sha1_signatures: false,
  },
} as const;

export const CHILD_DEFAULTS = {
  esp: ["default"],
  rekey: { time: "1h", jitter: "20%" },
  mode: "tunnel",
  priority: 0,
  replay_window: 4096,
  df: "copy",
  dscp: "copy",
  ecn: "copy",
  mtu: "auto",
  mss: "auto",
  lane_sas: "auto",
  sa_per: "auto",
  rehearse: "off",
} as const;
