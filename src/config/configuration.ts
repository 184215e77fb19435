/** What a configuration file says, as values: everything checked, every secret read, every default filled in. */
import type { AddressRange, InterfaceAddress, Prefix } from "../base/address-range.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import type { ConfigurationPlace, Connection, PrivateKeyId } from "../policy/connection.ts";
import type { Encapsulation, EspKeys, EspSuite, PolicyName, SaHandling } from "../policy/data-plane.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { ConfigProblem } from "./config-error.ts";

export interface Configuration {
  /** Absolute path of the file that was read. */
  readonly file: string;
  readonly gateway: GatewaySettings;
  /** In the order of the file. A connection that has manual children alone is not among them. */
  readonly connections: readonly ConfiguredConnection[];
  /** SPD entries besides the children's PROTECT entries, in list order. */
  readonly policies: readonly ConfiguredPolicy[];
  readonly manual: readonly ManualChild[];
  /** The private keys that connections name. */
  readonly privateKeys: ReadonlyMap<PrivateKeyId, PrivateKeyHandle>;
  /** Absolute paths of certificate and key files, which may be renewed while the gateway runs. */
  readonly keyFiles: readonly string[];
  /** Absolute paths of files with pre-shared keys and passwords: another secret is taken over by a reload. */
  readonly secretFiles: readonly string[];
  /** What works but should be looked at. */
  readonly warnings: readonly ConfigProblem[];
}

export interface GatewaySettings {
  /** Where the file has what it says of each key of `gateway`. */
  readonly lines: ReadonlyMap<string, number>;
  /** Outer addresses to receive on; empty: all of the machine's. */
  readonly listen: readonly IpAddress[];
  readonly ports: { readonly ike: number; readonly nat: number };
  /** The default TUN device first, then those that connections name; names are unique. */
  readonly interfaces: readonly TunSettings[];
  readonly offloads: OffloadSettings;
  readonly routing: RoutingSettings;
  /** Private and local addresses where CRLs and OCSP responders may be asked. */
  readonly revocationTargets: readonly AddressRange[];
  /** Threads that carry packets. */
  readonly lanes: "auto" | number;
  readonly forwarding: "check" | "lan";
  readonly onExit: "block" | "open";
  readonly control: ControlSettings;
  /** Absent: nothing is served over TCP. */
  readonly metrics?: MetricsSettings;
}

/** What may pass the kernel in one piece where it and the devices can; `false`: never. */
export interface OffloadSettings {
  /** TCP superpackets that the host leaves to us to cut. */
  readonly tso: boolean;
  /** UDP superpackets that the host leaves to us to cut (Linux 6.2 and later). */
  readonly uso: boolean;
  /** Consecutive TCP segments or UDP datagrams handed to the host as one superpacket. */
  readonly coalescing: boolean;
  /** Runs of datagrams sent by one call (UDP_SEGMENT). */
  readonly udpSegment: boolean;
  /** Runs of datagrams received as one (UDP_GRO). */
  readonly udpGro: boolean;
}

export interface TunSettings {
  readonly name: string;
  /** That the device gets, host bits included; absent: none. */
  readonly addresses?: readonly InterfaceAddress[];
  readonly mtu: "auto" | number;
  readonly place: ConfigurationPlace;
}

interface RoutingSettings {
  readonly table: number;
  readonly priority: number;
  readonly mark: { readonly value: number; readonly mask: number };
}

interface ControlSettings {
  readonly path: string;
  /** Group whose members may talk to the daemon besides its own user. */
  readonly group?: string;
  /** Keys of SAs may be given to whoever may open the socket. */
  readonly allowKeyExport: boolean;
  /** A second socket that answers questions and carries nothing out; without a group of its own, for that above. */
  readonly readOnly?: { readonly path: string; readonly group?: string };
}

/** Where metrics and health are served, over HTTP. */
export interface MetricsSettings {
  /** Of this machine; IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
  /** Names that a request may ask for, besides addresses and localhost; lower case. */
  readonly hosts: readonly string[];
}

/** A connection as IKE sees it, and what only the daemon has to know. */
export interface ConfiguredConnection {
  /** `remote.addresses` holds what the file gives as numbers; see `remoteNames`. */
  readonly connection: Connection;
  /** DNS names of the peer; the daemon resolves them and adds the answers to `connection.remote.addresses`. */
  readonly remoteNames: readonly string[];
  /** Name of the TUN device, one of `gateway.interfaces`. */
  readonly interface: string;
  /** Whose defaults lie below what the file says. */
  readonly preset?: string;
  readonly routes: "auto" | "none" | readonly Prefix[];
  /** By child name: place in the order of the SPD, higher first; 0 unless told. */
  readonly priorities: ReadonlyMap<string, number>;
}

/** An entry of `policies`. */
export interface ConfiguredPolicy {
  readonly action: "bypass" | "discard";
  /** A side without selectors in the file has those for any address of both families. */
  readonly selectors: SelectorPair;
  /** Absent: on every TUN device. */
  readonly interface?: string;
  readonly place: ConfigurationPlace;
}

/** A child SA pair whose keys the file gives (RFC 4301 section 4.5.1). */
export interface ManualChild {
  readonly connection: string;
  readonly name: string;
  /** `connection/name`. */
  readonly policy: PolicyName;
  readonly selectors: SelectorPair;
  readonly priority: number;
  readonly interface: string;
  readonly routes: "auto" | "none" | readonly Prefix[];
  /** Outer addresses; local absent: the one that routes to the peer. */
  readonly localAddress?: IpAddress;
  readonly remoteAddress: IpAddress;
  readonly encapsulation: Encapsulation;
  /** The peer's UDP port where `encapsulation` is `udp`. */
  readonly remotePort: number;
  readonly outbound: ManualSa;
  readonly inbound: ManualSa;
  readonly handling: SaHandling;
  /** Absolute path of the file that remembers reserved sequence numbers; always there for AEAD. */
  readonly stateFile?: string;
  readonly place: ConfigurationPlace;
}

export interface ManualSa {
  readonly spi: Spi;
  readonly suite: EspSuite;
  readonly keys: EspKeys;
}
