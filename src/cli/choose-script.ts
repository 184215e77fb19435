/** What lies in dist/ as the program: it runs the script that has the command. A restart has its lanes' threads started by then. */
import { join } from "node:path";
import { lanesAmong } from "../daemon/kept-names.ts";
import { runScript } from "../io/compiled-script.ts";
import { forbidCodeFromStrings } from "../io/no-code-from-strings.ts";
import { startWaitingLanes } from "../io/waiting-lanes.ts";

/** As commander sees it: no option before it takes a value. */
const command = process.argv.slice(2).find((word) => !word.startsWith("-"));
forbidCodeFromStrings();
// Their threads start while this one reads the gateway's script and what the process before has left.
if (command === "run") startWaitingLanes(lanesAmong(process.env["LISTEN_FDNAMES"] ?? ""));
runScript(join(import.meta.dirname, command === "run" ? "gateway" : "commands"));
