/** Keys of IKE SAs in the clear, for whoever may decrypt a capture. Nothing in the machine asks for them. */
import type { IkeSpi } from "../base/spi.ts";
import type { IkeSuite } from "./connection-state.ts";
import type { Machine } from "./turn.ts";

/** Views of the keys in use; not for keeping. */
export interface ExportedIkeKeys {
  /** As in status: `NAME`, not that of one of many peers. Absent: it is not known yet who the peer is. */
  readonly connection: string | undefined;
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  readonly suite: IkeSuite;
  readonly skEi: Uint8Array;
  readonly skEr: Uint8Array;
  readonly skAi: Uint8Array;
  readonly skAr: Uint8Array;
}

/** Of all IKE SAs that have keys. */
export function exportIkeKeys({ sas }: Machine): readonly ExportedIkeKeys[] {
  return [...sas.values()].flatMap((sa) => {
    if (sa.state === "initiating" || sa.protection === undefined) return [];
    const { initiatorSpi, responderSpi } = sa;
    const { suite, keys } = sa.protection;
    const { skEi, skEr, skAi, skAr } = keys;
    const connection = sa.state === "halfOpen" ? undefined : sa.connection;
    return [{ connection, initiatorSpi, responderSpi, suite, skEi, skEr, skAi, skAr }];
  });
}
