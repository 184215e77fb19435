/** When the certificates of a configuration end, by their place in it: what stands in them was chosen by others. */
import type { Configuration } from "../config/configuration.ts";
import { decodeCertificate } from "../wire/x509/certificate.ts";

export interface CertificateExpiry {
  readonly connection: string;
  /** `local`: ours, and those that lead from it to a CA; `ca`, `pinned`, `intermediate`: what the peer is held against. */
  readonly use: "local" | "ca" | "pinned" | "intermediate";
  /** From 1, within the connection and the use. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** Read once for a configuration; one file that many connections name is read once as well. */
export function certificateExpiries({
  connections,
}: Pick<Configuration, "connections">): CertificateExpiry[] {
  const known = new Map<string, number>();
  const notAfterOf = (der: Uint8Array): number => {
    const key = Buffer.from(der.buffer, der.byteOffset, der.length).toString("base64");
    const notAfter = known.get(key) ?? decodeCertificate(der).notAfter;
    known.set(key, notAfter);
    return notAfter;
  };
  return connections.flatMap(({ connection }) => {
    const own = connection.local.auth.kind === "certificate" ? connection.local.auth.certificates : [];
    const trust = connection.remote.auth.kind === "certificate" ? connection.remote.auth : undefined;
    const uses = [
      ["local", own.flatMap(({ chain }) => chain)],
      ["ca", trust?.anchors ?? []],
      ["pinned", trust?.pinned ?? []],
      ["intermediate", trust?.intermediates ?? []],
    ] as const;
    return uses.flatMap(([use, list]) =>
      list.map((der, i) => ({
        connection: connection.name,
        use,
        number: i + 1,
        notAfter: notAfterOf(der),
      })),
    );
  });
}
