import { expect, test } from "vitest";
import { load } from "./memory-reader.ts";

const world = { files: { psk: "0123456789abcdef0123456789abcdef" } };
const childOf = (settings: string) =>
  load(
    `version: 1
connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: psk }
    children:
      lan: { local: [10.1.0.0/16, 10.3.0.0/16], remote: 10.2.0.0/16, ${settings} }
`,
    world,
  ).connections[0]!.connection.children[0]!;

test("sa_per says what one SA carries; rehearse asks for a rekey right after set-up", () => {
  expect(childOf("sa_per: pair").saPer).toBe("pair");
  expect(childOf("sa_per: host, keep: on-demand").saPer).toBe("host");
  expect(childOf("sa_per: flow, keep: respond").saPer).toBe("flow");
  expect(childOf("sa_per: auto")).not.toHaveProperty("saPer");
  expect(childOf("rehearse: on").rehearse).toBe(true);
  expect(childOf("rehearse: off")).not.toHaveProperty("rehearse");
});

const MANY = Array.from({ length: 30 }, (_, i) => `10.9.${i}.0/24`).join(", ");
test.each([
  ["sa_per: host", "keep: on-demand"],
  ["sa_per: subnet", "choose one of auto, pair, host, flow"],
  ["sa_per: pair, dscp_sas: [ef]", "dscp_sas"],
  [
    `sa_per: pair, esp: aes256gcm16, keep: up }
      dmz: { sa_per: pair, local: [${MANY}], remote: [10.10.0.0/24, 10.11.0.0/24, 10.12.0.0/24]`,
    "makes 90 SAs",
  ],
])("refuses %s", (text, words) => {
  expect(() => childOf(text)).toThrow(expect.objectContaining({ message: expect.stringContaining(words) }));
});
