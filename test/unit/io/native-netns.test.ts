/** TUN devices and raw sockets in a network namespace of their own; needs root. */
import { CHECKS } from "./native-netns-checks.ts";
import { describeInNamespace } from "./netns-checks.ts";

describeInNamespace(new URL("./native-netns-checks.ts", import.meta.url), CHECKS);
