/** Names of IKE SAs inside one machine. */
import type { Branded } from "../../base/brand.ts";

/** A number never used twice in one machine. */
export type IkeSaId = Branded<number, "IkeSaId">;
export function IkeSaId(value: number): IkeSaId {
  return value as IkeSaId;
}
