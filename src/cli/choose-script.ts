/** What lies in dist/ as the program: it runs the script that has the command. */
import { join } from "node:path";
import { runScript } from "../io/compiled-script.ts";
import { forbidCodeFromStrings } from "../io/no-code-from-strings.ts";

/** As commander sees it: no option before it takes a value. */
const command = process.argv.slice(2).find((word) => !word.startsWith("-"));
forbidCodeFromStrings();
runScript(join(import.meta.dirname, command === "run" ? "gateway" : "commands"));
