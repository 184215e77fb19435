/** Connections by certificate between our gateway at site A and strongSwan at site B, one per name, with files on both sides. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Made } from "../../unit/pki/certificate-maker.ts";
import { until } from "./command.ts";
import type { Gateway } from "./gateway.ts";
import type { StrongSwan } from "./strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "./two-sites.ts";

/** A connection `name`; unless told otherwise both sides have certificates with the names `NAME-a.test` and `NAME-b.test`. */
export interface CertifiedConnection {
  readonly name: string;
  /** Words of ours in `local` and `remote`. */
  readonly local: string;
  readonly remote: string;
  /** More lines of ours, indented by 4. */
  readonly more?: string;
  /** strongSwan's `local` and `remote` without identities. */
  readonly theirLocal: string;
  readonly theirRemote?: string;
  /** More of strongSwan's connection. */
  readonly theirMore?: string;
  /** Who each side says it is, and expects the other to be, in place of the usual names. */
  readonly ourId?: string;
  readonly theirId?: string;
  readonly expectedOfThem?: string;
  readonly expectedOfUs?: string;
}

const networks = (i: number) => [`10.1.${i}.0/24`, `10.2.${i}.0/24`] as const;

/** Our file; nothing is called until a command says so. */
export function ourConnections(connections: readonly CertifiedConnection[], keep = "respond"): string {
  const texts = connections.map((one, i) => {
    const [own, other] = networks(i);
    const theirs = one.expectedOfThem ?? `${one.name}-b.test`;
    return `  ${one.name}:
    local: { id: ${one.ourId ?? `${one.name}-a.test`}, ${one.local} }
    remote: { address: ${SITE_B.outer4}, id: ${theirs}, ${one.remote} }
    keep: ${keep}
    children: { lan: { local: ${own}, remote: ${other} } }
${one.more === undefined ? "" : `    ${one.more}\n`}`;
  });
  return `version: 1\ngateway: { listen: [${SITE_A.outer4}] }\nconnections:\n${texts.join("")}`;
}

/** strongSwan's connections, with `secrets` behind them. */
export function theirConnections(connections: readonly CertifiedConnection[], secrets = ""): string {
  const texts = connections.map((one, i) => {
    const [own, other] = networks(i);
    return `    ${one.name} {
        version = 2
        local_addrs = ${SITE_B.outer4}
        remote_addrs = ${SITE_A.outer4}
        ${one.theirMore ?? ""}
        local {
            ${one.theirLocal}
            id = ${one.theirId ?? `${one.name}-b.test`}
        }
        remote {
            ${one.theirRemote ?? "auth = pubkey"}
            id = ${one.expectedOfUs ?? `${one.name}-a.test`}
        }
        children {
            lan {
                local_ts = ${other}
                remote_ts = ${own}
            }
        }
    }
`;
  });
  return `connections {\n${texts.join("")}}\n${secrets}`;
}

/** Closes them, and waits until strongSwan knows: it would not call for a child that it still has. */
export async function closeAll(ours: Gateway, peer: StrongSwan, names: readonly string[]): Promise<void> {
  for (const name of names) await ours.command("down", name);
  await until("strongSwan has closed everything", async () => (await peer.associations()) === "");
}

/** Without an address inside its own networks strongSwan refuses a child. */
export async function addPeerAddresses(sites: TwoSites, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => `addr add 10.2.${i}.2/32 dev lan0`);
  await sites.b.gateway.ip(lines.join("\n"));
}

function pem(label: string, octets: Uint8Array): string {
  const lines = Buffer.from(octets)
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

export const certificatePem = (...made: readonly Made[]): string =>
  made.map(({ der }) => pem("CERTIFICATE", der)).join("");
export const keyPem = ({ key }: Made): string =>
  key.privateKey.export({ type: "pkcs8", format: "pem" }) as string;

export const publicKeyPem = ({ key }: Made): string => pem("PUBLIC KEY", key.publicKey);

/** Our files beside the configuration: `NAME.pem` with a chain, and `NAME.key`. */
export function writeOurs(ours: Gateway, name: string, chain: readonly Made[], keyOf = chain[0]!): void {
  ours.writeSecret(`${name}.pem`, certificatePem(...chain));
  ours.writeSecret(`${name}.key`, keyPem(keyOf));
}

/** strongSwan's files: the certificate itself and its key; CAs are written for themselves. */
export function writeTheirs(peer: StrongSwan, name: string, made: Made, keyOf = made): void {
  write(peer, "x509", `${name}.pem`, certificatePem(made));
  write(peer, "private", `${name}.key`, keyPem(keyOf));
}

export function writeTheirCa(peer: StrongSwan, name: string, made: Made): void {
  write(peer, "x509ca", `${name}.pem`, certificatePem(made));
}

export function writeTheirPublicKey(peer: StrongSwan, name: string, made: Made): void {
  write(peer, "pubkey", `${name}.pub`, publicKeyPem(made));
}

function write(peer: StrongSwan, folder: string, name: string, text: string): void {
  mkdirSync(join(peer.credentials, folder), { recursive: true });
  writeFileSync(join(peer.credentials, folder, name), text);
}
