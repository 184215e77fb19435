/** Where guards are kept for the next boot: what is open after a stop is open after a boot as well. */
import { rmSync } from "node:fs";
import type { GatewaySettings } from "../config/configuration.ts";
import { guardsFile } from "../io/routes-script.ts";

/** @returns the file to keep them in; where none are to be kept it is removed */
export function keptGuards({ onExit }: GatewaySettings): string | undefined {
  const guards = guardsFile(process.env);
  if (guards === undefined || onExit === "block") return guards;
  rmSync(guards, { force: true });
  return undefined;
}
