/** Planted bugs of what others may ask of a gateway that runs: the control socket, metrics, captures, the black box. */
import type { Mutant } from "./mutants.ts";

export const CONTROL_MUTANTS: readonly Mutant[] = [
  {
    bug: "the socket that only answers questions carries things out",
    file: "src/control/app.ts",
    find: "if (isReadOnly)",
    replace: "if (false)",
    test: "test/unit/control/strength.test.ts",
    killedBy: "whatever changes something is refused where only questions are answered",
  },
  {
    bug: "HEAD of the events takes a follower's place for ever",
    file: "src/control/app.ts",
    find: 'context.req.method === "HEAD" ? notFound(context) : next()',
    replace: "next()",
    test: "test/unit/control/strength.test.ts",
    killedBy: "HEAD, which would take a stream and never read it",
  },
  {
    bug: "a scraper's requests in one piece are all answered at once",
    file: "src/control/metrics-server.ts",
    find: "if (isAdmitted(request, response)) answer(",
    replace: "if (isAdmitted !== undefined) answer(",
    test: "test/unit/control/metrics-server.test.ts",
    killedBy: "requests that come before their answers are taken",
  },
  {
    bug: "the black box keeps octets of what is in a payload",
    file: "src/wire/ike/outline.ts",
    find: "type === PayloadType.N && bodyLength >= 4",
    replace: "bodyLength >= 4",
    test: "test/unit/daemon/black-box.test.ts",
    killedBy: "types and sizes of payloads are kept, and nothing that is in them",
  },
  {
    bug: "keys are in every capture where they may be",
    file: "src/daemon/captures.ts",
    find: "keys: keys && gateway.keys !== undefined ?",
    replace: "keys: gateway.keys !== undefined ?",
    test: "test/unit/daemon/captures.test.ts",
    killedBy: "keys are in a capture that asks for them where they may be",
  },
  {
    bug: "a capture with keys is begun where they may not be given out",
    file: "src/daemon/captures.ts",
    find: "if (request.keys && gateway.keys === undefined) {",
    replace: "if (request.keys && gateway.lanes === 0) {",
    test: "test/unit/daemon/captures.test.ts",
    killedBy: "keys are in a capture that asks for them where they may be",
  },
  {
    bug: "the audit of keys is as quiet as the log is told to be",
    file: "src/daemon/captures.ts",
    find: "      this.#options.audit.warn(\n        `keys of SAs are given out",
    replace: "      this.#options.log.warn(\n        `keys of SAs are given out",
    test: "test/unit/daemon/captures.test.ts",
    killedBy: "keys are in a capture that asks for them where they may be",
  },
];
