/** What lies in dist/ in the place of a worker thread: it runs the script of its own name. */
import { runScript } from "./compiled-script.ts";
import { forbidCodeFromStrings } from "./no-code-from-strings.ts";

forbidCodeFromStrings();
runScript(import.meta.filename.slice(0, -".js".length));
