/** Everything that checks judge: what the machine, the configuration and the running gateway say, gathered once. */

import type { Prefix } from "../base/address-range.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { ConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import type { StatusDocument } from "../control/schema.ts";
import type { ForwardingSwitch } from "../daemon/forwarding.ts";
import type { Reach } from "../ike/probe/reach.ts";
import type { CryptoProvider } from "../io/crypto-provider.ts";
import type { HostNetwork } from "../io/netlink.ts";
import type { Known } from "./finding.ts";
import type { Ruleset } from "./firewall/ruleset.ts";

/** Where a packet would be routed. */
export interface Lookup {
  readonly address: IpAddress;
  /** Name of the link; absent: nowhere. */
  readonly device?: string;
}

export interface ProtectedPrefix {
  readonly prefix: Prefix;
  /** The TUN device where it belongs. */
  readonly device: string;
  /** Of an address in it, for packets of the host and its LANs. */
  readonly found: Lookup;
}

export interface PeerWay {
  readonly connection: string;
  readonly address: IpAddress;
  /** Of our own outer packets, which are marked. */
  readonly marked: Lookup;
  /** As the reverse path check sees it. */
  readonly unmarked: Lookup;
  /** Of ours, on the way there; absent without one. */
  readonly source?: IpAddress;
}

/** A rule of `ip rule`, as far as it matters. */
export interface IpRule {
  readonly family: 4 | 6;
  readonly priority: number;
  /** The rule in the words of ip-rule(8), without its number. */
  readonly text: string;
  readonly table?: string;
  /** Set by tungate-routes. */
  readonly isOurs: boolean;
}

export interface RoutingFacts {
  readonly prefixes: readonly ProtectedPrefix[];
  /** Prefixes that were not looked up. */
  readonly prefixesLeftOut: number;
  readonly peers: readonly PeerWay[];
  readonly rules: Known<readonly IpRule[]>;
}

export interface PortHolder {
  readonly port: number;
  readonly family: 4 | 6;
  /** `charon (pid 812)`; absent: no process that has it is visible. */
  readonly who?: string;
  /** All that have it open. */
  readonly pids: readonly number[];
}

/** A policy of the kernel's IPsec. */
export interface KernelPolicy {
  readonly source: Prefix;
  readonly destination: Prefix;
  readonly direction: string;
  readonly text: string;
}

/** What the kernel says of a process. */
export interface ProcessFacts {
  readonly pid: number;
  readonly capabilities: bigint;
  /** Octets that are locked in memory. */
  readonly lockedOctets: number;
  readonly limits: { readonly files: number; readonly core: number; readonly lockedOctets: number };
}

export interface TunFacts {
  /** Why /dev/net/tun cannot be opened: a system's code. */
  readonly failure?: string;
  readonly devices: readonly {
    readonly name: string;
    /** Flags of linux/if_tun.h; absent: there is no such interface. */
    readonly flags?: number;
    readonly isOther?: true;
  }[];
  /** `6.1.0-13-amd64` */
  readonly kernel: string;
}

export interface ReversePath {
  readonly device: string;
  /** 0: none, 1: strict, 2: loose; the larger of that for all and the device's, or what it will begin with. */
  readonly mode: number;
}

export interface MachineFacts {
  readonly wallClock: number;
  /** Absent: nobody tells. */
  readonly isClockSynchronised?: boolean;
  readonly reversePaths: readonly ReversePath[];
  readonly isSysctlReadOnly: boolean;
  /** `docker`, `systemd-nspawn`; absent: none that shows itself. */
  readonly container?: string;
  readonly hasSwap: boolean;
  readonly architecture: string;
  /** Of /proc/cpuinfo; empty where there are none. */
  readonly processorFlags: readonly string[];
}

export interface AskedPeer {
  readonly connection: string;
  readonly remote: UdpEndpoint;
  /** Words where it could not be asked. */
  readonly reach: Known<Reach & { readonly local: UdpEndpoint }>;
}

export interface NameAnswer {
  readonly name: string;
  /** Absent: it resolves. */
  readonly failure?: string;
}

export type DaemonFacts =
  | { readonly kind: "running"; readonly status: StatusDocument; readonly process: Known<ProcessFacts> }
  | { readonly kind: "notRunning" }
  /** Its socket is there, and no answer of use. */
  | { readonly kind: "unusable"; readonly code: string; readonly reason: string };

export interface Facts {
  readonly file: string;
  readonly configuration: Configuration | undefined;
  /** What is wrong with it, where there is none. */
  readonly problems: readonly ConfigProblem[];
  readonly daemon: DaemonFacts;
  readonly controlPath: string;
  /** Permission bits of the socket and of its directory, where they are there. */
  readonly controlModes: { readonly socket?: number; readonly directory?: number };
  readonly network: Known<HostNetwork>;
  readonly switches: Known<readonly { readonly one: ForwardingSwitch; readonly isOn: boolean | undefined }[]>;
  readonly tun: TunFacts;
  readonly routing: Known<RoutingFacts>;
  readonly ruleset: Known<Ruleset>;
  readonly ports: Known<readonly PortHolder[]>;
  readonly kernelPolicies: Known<readonly KernelPolicy[]>;
  readonly machine: MachineFacts;
  readonly crypto: CryptoProvider;
  readonly asked: Known<readonly AskedPeer[]>;
  readonly names: readonly NameAnswer[];
  /** How many were not looked up or asked, so that doctor ends while somebody waits for it. */
  readonly namesLeftOut: number;
  readonly peersLeftOut: number;
}
