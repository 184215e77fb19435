/** What the reload routes ask of the daemon. */
import type { ReloadOutcome, ReloadRequest } from "./reload-schema.ts";

export interface ReloadTarget {
  /** Reads the configuration anew, and takes it over as a whole or not at all. Never rejects for what the file holds. */
  reload(request: ReloadRequest): Promise<ReloadOutcome>;
  /** What is on trial stays. */
  keep(): Promise<ReloadOutcome>;
  /** What is on trial goes, at once. */
  undo(): Promise<ReloadOutcome>;
}
