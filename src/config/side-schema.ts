/** The keys that say who we and the peer are and how both prove it. */
import * as z from "zod";
import { SELECTORS_PER_SIDE } from "../policy/sa-table.ts";
import { ANY_PROTOCOL, isAnyPort, type TrafficSelector } from "../policy/traffic-selector.ts";
import { certificatesOf, publicKeyOf, revocationListsOf } from "./certificate-files.ts";
import { identity, peerIdentity } from "./identity.ts";
import { choice, integer, leaf, listOf, mapping, Refusal } from "./leaf.ts";
import { address, remoteAddress, selector } from "./network.ts";
import { pkcs12Of } from "./pkcs12-files.ts";
import { privateKeyOf } from "./private-key-files.ts";
import { preSharedKey, type SecretSettings } from "./secret.ts";

const ADDRESSES_MAX = 64;
/** Files or keys of one side. */
const KEY_FILES_MAX = 16;

export const LATER_AUTHENTICATION: Readonly<Record<string, string>> = {
  eap: "use certificates or psk",
};

/** Where each key belongs that both sides might have. */
export const OF_ONE_SIDE: Readonly<Record<string, string>> = {
  certificate: "local.certificate (ours) or remote.certificate (the peer's)",
  certificates: "local.certificate",
  private_key: "local.private_key",
  pkcs12: "local.pkcs12",
  public_key: "remote.public_key",
  ca: "remote.ca",
  revocation: "remote.revocation",
  crl: "remote.crl",
};

const optional = <T>(check: (value: unknown) => T) => z.optional(leaf(check));
const NO_EAP = "EAP comes later; use certificate, pubkey or psk";
const authKind = choice(["psk", "certificate", "pubkey"], {
  eap: NO_EAP,
  "eap-mschapv2": NO_EAP,
  "eap-tls": NO_EAP,
});
const auth = optional((value) => {
  if (Array.isArray(value) && value.length !== 1)
    throw new Refusal(
      "CONFIG_NOT_SUPPORTED",
      "several rounds of authentication (RFC 4739) are not supported; give one of psk, certificate, pubkey",
    );
  return authKind(Array.isArray(value) ? value[0] : value);
});

/** `local`, `remote`, what both share, and one of `remote.ids`; built for each load because secrets are read on the way. */
export function sides(secrets: SecretSettings) {
  const proof = proofOfPeer(secrets);
  return {
    sides: {
      local: z.optional(localSide(secrets)),
      // Who is named by identity may call from anywhere, unless the file says otherwise.
      remote: z.preprocess(fromAnywhere, remoteSide(proof)),
      auth,
      psk: psk(secrets),
    },
    /** An entry of `remote.ids`; one without any settings has those of `remote`. */
    oneOfMany: z.preprocess((value) => value ?? {}, oneOfMany(proof)),
  };
}

const psk = (secrets: SecretSettings) => optional((value) => preSharedKey(value, secrets));
const remotePort = optional((value) => integer(value, "a UDP port", 1, 65535));
const addresses = listOf(
  leaf(remoteAddress),
  "the peer's address: IP, prefix, DNS name or any",
  ADDRESSES_MAX,
);

function files<T>(
  read: (value: unknown, settings: SecretSettings) => T,
  what: string,
  secrets: SecretSettings,
) {
  const file = leaf((value) => read(value, secrets));
  return z.optional(listOf(file, what, KEY_FILES_MAX));
}

function localSide(secrets: SecretSettings) {
  return mapping(
    {
      address: optional(address),
      id: optional(identity),
      auth,
      psk: psk(secrets),
      certificate: files(certificatesOf, "a file with a certificate in PEM", secrets),
      private_key: files(privateKeyOf, "a file with a private key", secrets),
      pkcs12: files(pkcs12Of, "a PKCS#12 file with key and certificates", secrets),
      rsa_padding: optional(choice(["pss", "pkcs1"])),
    },
    {
      later: LATER_AUTHENTICATION,
      elsewhere: {
        port: "gateway.ports",
        ts: "children.NAME.local",
        certificates: "certificate",
        cert: "certificate",
        key: "private_key",
        p12: "pkcs12",
        pfx: "pkcs12",
        ca: "remote.ca",
        revocation: "remote.revocation",
        crl: "remote.crl",
        public_key: "private_key (the public half follows from it)",
      },
    },
  );
}

/** What the peer has to prove its identity with. */
function proofOfPeer(secrets: SecretSettings) {
  return {
    auth,
    psk: psk(secrets),
    ca: files(certificatesOf, "a file with the CA's certificate in PEM", secrets),
    certificate: files(certificatesOf, "a file with a certificate in PEM", secrets),
    public_key: files(publicKeyOf, "a file with the peer's public key in PEM", secrets),
    revocation: optional(choice(["strict", "soft", "off"])),
    crl: files(revocationListsOf, "a file with a CRL of the CA in PEM or DER", secrets),
  };
}

type Proof = ReturnType<typeof proofOfPeer>;

const OF_PEER_ELSEWHERE = {
  addresses: "address",
  host: "address",
  cacert: "ca",
  cacerts: "ca",
  certificates: "certificate",
  crls: "crl",
  crl_check: "revocation",
  private_key: "local.private_key",
  pkcs12: "local.pkcs12 (ours); of the peer name ca or certificate, in PEM or DER",
};

function remoteSide(proof: Proof) {
  return mapping(
    {
      address: addresses,
      port: remotePort,
      id: optional((value) => (value === "any" || value === "%any" ? "any" : peerIdentity(value))),
      ...proof,
      ids: z.optional(leaf(identityMapping)),
    },
    { later: LATER_AUTHENTICATION, elsewhere: { ...OF_PEER_ELSEWHERE, ts: "children.NAME.remote" } },
  );
}

function oneOfMany(proof: Proof) {
  return mapping(
    {
      address: z.optional(addresses),
      port: remotePort,
      keep: optional(choice(["up", "on-demand", "respond"])),
      networks: z.optional(
        listOf(leaf(network), "a network of the peer such as 10.17.0.0/16", SELECTORS_PER_SIDE),
      ),
      ...proof,
    },
    {
      later: LATER_AUTHENTICATION,
      elsewhere: {
        ...OF_PEER_ELSEWHERE,
        id: "the name of the entry",
        remote: "networks",
        remote_ts: "networks",
        ts: "networks",
        children: "networks (the children are the connection's, for all peers)",
        secret: "psk",
      },
    },
  );
}

function fromAnywhere(remote: unknown): unknown {
  const isOpen = isMapping(remote) && remote["ids"] !== undefined && remote["address"] === undefined;
  return isOpen ? { ...remote, address: "any" } : remote;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The entries are looked at one by one. */
function identityMapping(value: unknown): Readonly<Record<string, unknown>> {
  const example = "an identity and its settings: { branch1.example.net: { psk: { file: secrets/branch1 } } }";
  if (!isMapping(value)) throw new Refusal("CONFIG_WRONG_TYPE", `has to be a mapping with ${example}`);
  if (Object.keys(value).length === 0)
    throw new Refusal("CONFIG_BAD_VALUE", `names nobody; give ${example}, or leave it out`);
  return value;
}

/** All of a network: children say which protocols and ports. */
function network(value: unknown): TrafficSelector {
  const given = selector(value);
  if (given.protocol === ANY_PROTOCOL && isAnyPort(given.ports)) return given;
  throw new Refusal(
    "CONFIG_SELECTOR",
    "is a network without protocol and ports; those stand in the children's selectors",
  );
}
