/** Watches the network until it is ended; told `throws`, its listener throws at a change that it causes itself. */
import { execFileSync } from "node:child_process";
import { parentPort } from "node:worker_threads";
import { openNetlinkEars } from "../../../src/io/native-netlink.ts";

const LINK_GROUP = 1;
const ROUTE_GROUP = 7;
const throws = process.argv[2] === "throws";
const ears = openNetlinkEars([LINK_GROUP, ROUTE_GROUP], () => {
  if (throws) throw new Error("the listener's own");
  ears.listen();
});
ears.listen();
parentPort?.postMessage("watching");
if (throws) {
  execFileSync("ip", ["tuntap", "add", "nlthrow", "mode", "tun"]);
  execFileSync("ip", ["link", "del", "nlthrow"]);
}
