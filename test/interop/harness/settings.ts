/** Configurations of both kinds of gateway for the two sites, from the few facts that tests vary. */
import type { Gateway } from "./gateway.ts";
import type { PeerConnection } from "./strongswan.ts";
import { type Addresses, SITE_A, SITE_B } from "./two-sites.ts";

export const SECRET = "correct horse battery staple";

export interface TunnelFacts {
  /** Whose configuration this is; the other site is the peer. */
  readonly site: Addresses;
  /** Address family of the wire. */
  readonly outer?: 4 | 6;
  readonly ike?: string;
  readonly esp?: string;
  /** In place of `esp`. */
  readonly ah?: string;
  readonly keep?: "up" | "on-demand" | "respond";
  readonly onExit?: "block" | "open";
  /** TUNGATE_TEST_LANES unless told, so that every test can be run with any number of lanes. */
  readonly lanes?: number;
  readonly liveness?: string;
  /** IKE messages are sent as long as they are (RFC 7383 is switched off). */
  readonly withoutIkeFragments?: true;
  readonly encapsulation?: "auto" | "udp" | "esp";
  /** Networks of site A and of site B in place of their LANs, IPv4 and IPv6. */
  readonly networks?: readonly [a: readonly string[], b: readonly string[]];
  /** What of `gateway.offloads` is off. */
  readonly offloadsOff?: readonly string[];
  /** More lines of the gateway, indented by 2. */
  readonly gateway?: string;
  /** More lines of the child, indented by 8. */
  readonly child?: string;
  /** More of the file, from the first column on. */
  readonly more?: string;
}

export const IKE = "aes256gcm16-prfsha384-x25519";
export const ESP = "aes256gcm16";

const idOf = (site: Addresses) => (site === SITE_A ? "a.test" : "b.test");
const peerOf = (site: Addresses) => (site === SITE_A ? SITE_B : SITE_A);
const outerOf = (site: Addresses, family: 4 | 6) => (family === 4 ? site.outer4 : site.outer6);

function networksOf({ site, networks }: TunnelFacts): [own: readonly string[], others: readonly string[]] {
  const [a, b] = networks ?? [
    [SITE_A.lan4, SITE_A.lan6],
    [SITE_B.lan4, SITE_B.lan6],
  ];
  return site === SITE_A ? [a, b] : [b, a];
}

const list = (words: readonly string[]) => `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;

const offloadLines = ({ offloadsOff = [] }: TunnelFacts) =>
  offloadsOff.length === 0 ? "" : `  offloads: { ${offloadsOff.map((name) => `${name}: off`).join(", ")} }`;

/** tungate.yaml of a connection `peer` with one child `lan`; its key is in the file `secret` beside it. */
export function tungateSettings(facts: TunnelFacts): string {
  const outer = facts.outer ?? 4;
  const [own, others] = networksOf(facts);
  return `version: 1
gateway:
  listen: ["${outerOf(facts.site, outer)}"]
  on_exit: ${facts.onExit ?? "block"}
  lanes: ${facts.lanes ?? process.env["TUNGATE_TEST_LANES"] ?? "auto"}
${offloadLines(facts)}
${facts.gateway ?? ""}
connections:
  peer:
    local: { id: ${idOf(facts.site)} }
    remote: { address: "${outerOf(peerOf(facts.site), outer)}", id: ${idOf(peerOf(facts.site))} }
    psk: { file: secret }
    keep: ${facts.keep ?? "up"}
    encapsulation: ${facts.encapsulation ?? "auto"}
    ike: { proposals: [${facts.ike ?? IKE}], liveness: ${facts.liveness ?? "30s"}${facts.withoutIkeFragments === true ? ", fragmentation: false" : ""} }
    children:
      lan:
        local: ${list(own)}
        remote: ${list(others)}
        ${facts.ah === undefined ? `esp: [${facts.esp ?? ESP}]` : `ah: [${facts.ah}]`}
${facts.child ?? ""}
${facts.more ?? ""}`;
}

/** The same tunnel for strongSwan. */
export function strongSwanSettings(facts: TunnelFacts): PeerConnection {
  const outer = facts.outer ?? 4;
  const [own, others] = networksOf(facts);
  return {
    local: outerOf(facts.site, outer),
    remote: outerOf(peerOf(facts.site), outer),
    localId: idOf(facts.site),
    remoteId: idOf(peerOf(facts.site)),
    secret: SECRET,
    ike: facts.ike ?? IKE,
    esp: facts.esp ?? ESP,
    ...(facts.ah === undefined ? {} : { ah: facts.ah }),
    localTs: own,
    remoteTs: others,
  };
}

/** Starts our daemon with these facts and the usual secret. */
export async function startGateway(gateway: Gateway, facts: TunnelFacts, secret = SECRET): Promise<Gateway> {
  gateway.writeSecret("secret", `${secret}\n`);
  return gateway.start(tungateSettings(facts));
}
