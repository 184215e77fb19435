/** Our gateway at site A opposite strongSwan at site B, which both trust one CA. */
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import {
  type CertificateRequest,
  ca,
  certificate,
  DAY,
  dns,
  keyUsage,
  type Made,
  makeKey,
  subjectAltName,
} from "../../unit/pki/certificate-maker.ts";
import { certificatePem, writeTheirCa } from "./certified.ts";
import { Gateway } from "./gateway.ts";
import { StrongSwan } from "./strongswan.ts";
import { TwoSites } from "./two-sites.ts";
import type { StrongSwanWorld } from "./worlds.ts";

export const validity = { notBefore: Date.now() - 30 * DAY, notAfter: Date.now() + 365 * DAY };
export const root = ca("O=Tungate test, CN=Root", validity);

/** A certificate of the root for `NAME.test`. */
export function issue(name: string, options: Partial<CertificateRequest> = {}): Made {
  return certificate({
    ...validity,
    ...{ subject: `CN=${name}`, key: makeKey(), issuer: root },
    extensions: [keyUsage(0), subjectAltName(dns(`${name}.test`))],
    ...options,
  });
}

/**
 * Makes it before the tests around the call and removes it after them.
 * @param prepare - writes the other files, starts what is to run; the root is `root.pem` with us
 * @param settings - of strongSwan's daemon
 */
export function oppositeCertified(
  take: (world: StrongSwanWorld) => void,
  prepare: (world: StrongSwanWorld) => Promise<void>,
  settings?: string,
): void {
  let world: StrongSwanWorld | undefined;
  beforeAll(async () => {
    const sites = await TwoSites.create();
    const peer = new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan"));
    world = { sites, peer, ours: new Gateway(sites.a.gateway, join(sites.folder, "tungate")) };
    take(world);
    await peer.start(settings);
    writeTheirCa(peer, "root", root);
    world.ours.writeSecret("root.pem", certificatePem(root));
    await prepare(world);
  });
  afterAll(async () => {
    await world?.ours.kill();
    await world?.peer.stop();
    await world?.sites.remove();
  });
}
