/** rtnetlink in a network namespace of its own; needs root. */
import { CHECKS } from "./netlink-checks.ts";
import { describeInNamespace } from "./netns-checks.ts";

describeInNamespace(new URL("./netlink-checks.ts", import.meta.url), CHECKS);
