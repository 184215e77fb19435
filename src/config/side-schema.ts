/** The keys that say who we and the peer are and how both prove it. */
import * as z from "zod";
import { certificatesOf, publicKeyOf, revocationListsOf } from "./certificate-files.ts";
import { identity, peerIdentity } from "./identity.ts";
import { choice, integer, leaf, listOf, mapping, Refusal } from "./leaf.ts";
import { address, remoteAddress } from "./network.ts";
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

/** `local`, `remote`, and what both share; built for each load because secrets are read on the way. */
export function sides(secrets: SecretSettings) {
  const psk = optional((value) => preSharedKey(value, secrets));
  const files = <T>(read: (value: unknown, settings: SecretSettings) => T, what: string) =>
    z.optional(
      listOf(
        leaf((value) => read(value, secrets)),
        what,
        KEY_FILES_MAX,
      ),
    );
  const certificate = files(certificatesOf, "a file with a certificate in PEM");
  const local = mapping(
    {
      address: optional(address),
      id: optional(identity),
      auth,
      psk,
      certificate,
      private_key: files(privateKeyOf, "a file with a private key"),
      pkcs12: files(pkcs12Of, "a PKCS#12 file with key and certificates"),
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
  const remote = mapping(
    {
      address: listOf(leaf(remoteAddress), "the peer's address: IP, prefix, DNS name or any", ADDRESSES_MAX),
      port: optional((value) => integer(value, "a UDP port", 1, 65535)),
      id: optional((value) => (value === "any" || value === "%any" ? "any" : peerIdentity(value))),
      auth,
      psk,
      ca: files(certificatesOf, "a file with the CA's certificate in PEM"),
      certificate,
      public_key: files(publicKeyOf, "a file with the peer's public key in PEM"),
      revocation: optional(choice(["strict", "soft", "off"])),
      crl: files(revocationListsOf, "a file with a CRL of the CA in PEM or DER"),
    },
    {
      later: { ...LATER_AUTHENTICATION, ids: "make it one connection for each peer" },
      elsewhere: {
        addresses: "address",
        host: "address",
        ts: "children.NAME.remote",
        cacert: "ca",
        cacerts: "ca",
        certificates: "certificate",
        crls: "crl",
        crl_check: "revocation",
        private_key: "local.private_key",
        pkcs12: "local.pkcs12 (ours); of the peer name ca or certificate, in PEM or DER",
      },
    },
  );
  return { local: z.optional(local), remote, auth, psk };
}
