/** Additional key exchanges in IKE_INTERMEDIATE between two machines (RFC 9242, RFC 9370 section 2.2). */
import { expect, test } from "vitest";
import { seconds } from "../../src/base/instant.ts";
import { HALF_OPEN_LIFETIME } from "../../src/ike/limits.ts";
import type { WorkResult } from "../../src/ike/machine.ts";
import { DEFAULT_IKE_PROPOSALS } from "../../src/policy/proposal-keyword.ts";
import type { ProposalSuite } from "../../src/policy/proposal-suite.ts";
import { ExchangeType, NotifyType, TransformType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import {
  badNetwork,
  type Datagram,
  GCM_X25519,
  type IkeNode,
  pair,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const HYBRID: ProposalSuite = { ...GCM_X25519, additionalKe: [[36]] };
const OPTIONAL: ProposalSuite = { ...GCM_X25519, additionalKe: [[36, 0]] };

function connect(
  world: World,
  a: readonly ProposalSuite[],
  b: readonly ProposalSuite[],
  fragmentation: "off" | number = "off",
): [IkeNode, IkeNode] {
  return pair(
    world,
    { ike: { proposals: a, fragmentation } },
    { keep: "respond", ike: { proposals: b, fragmentation } },
  );
}

const typeOf = ({ bytes }: Datagram) => bytes[18];
const isRequest = ({ bytes }: Datagram) => (bytes[19]! & 0x20) === 0;
const idOf = ({ bytes }: Datagram) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);
const suiteOf = (node: IkeNode) => node.state().ikeSa?.suite;

/** Changes what computations of a node answer. */
function meddle(node: IkeNode, change: (result: WorkResult) => WorkResult): void {
  const feed = node.feed.bind(node);
  node.feed = (event) => feed(event.kind === "computed" ? { ...event, result: change(event.result) } : event);
}

test("[PQ-06] [PQ-07] [PQ-13] [PQ-20] X25519 and ML-KEM-768: one IKE_INTERMEDIATE, message ID 1, IKE_AUTH with the next one", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  const exchanges = world.wire.filter((one) => typeOf(one)! < 36 || typeOf(one)! > 37);
  expect(exchanges.map((one) => [typeOf(one), idOf(one)])).toEqual([
    [ExchangeType.IKE_SA_INIT, 0],
    [ExchangeType.IKE_SA_INIT, 0],
    [ExchangeType.IKE_INTERMEDIATE, 1],
    [ExchangeType.IKE_INTERMEDIATE, 1],
    [ExchangeType.IKE_AUTH, 2],
    [ExchangeType.IKE_AUTH, 2],
  ]);
  expect(suiteOf(a)).toEqual({ encr: 20, encrKeyBits: 256, integ: 0, prf: 6, ke: 31, additionalKe: [36] });
  expect(suiteOf(b)).toEqual(suiteOf(a));
  // The encapsulation key goes there, the ciphertext comes back.
  const [request, response] = world.wire.filter((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE);
  expect(request!.bytes.length).toBeGreaterThan(1184);
  expect(response!.bytes.length - request!.bytes.length).toBe(1088 - 1184);
});

test("[PQ-11] [PQ-13] several of them are done in the order of their types, those with NONE not at all", () => {
  const world = new World();
  const suite: ProposalSuite = { ...GCM_X25519, additionalKe: [[35], [0], [], [37, 36], [32]] };
  const [a, b] = connect(world, [suite], [{ ...suite, additionalKe: [[35, 36], [36, 0], [], [37], [32]] }]);
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  expect(suiteOf(a)?.additionalKe).toEqual([35, 37, 32]);
  expect(suiteOf(b)?.additionalKe).toEqual([35, 37, 32]);
  const ids = world.wire.filter((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE).map(idOf);
  expect(ids).toEqual([1, 1, 2, 2, 3, 3]);
  expect(world.wire.filter((one) => typeOf(one) === ExchangeType.IKE_AUTH).map(idOf)).toEqual([4, 4]);
});

test.each([
  ["the responder", [OPTIONAL], [GCM_X25519]],
  ["the initiator", [GCM_X25519], [OPTIONAL]],
])("[PQ-11] where %s knows none of it and the other can do without, there is none", (_, ofA, ofB) => {
  const world = new World();
  const [a, b] = connect(world, ofA, ofB);
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  expect(suiteOf(a)?.additionalKe).toBeUndefined();
  expect(world.wire.some((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE)).toBe(false);
});

test.each([
  ["responder", [HYBRID], [GCM_X25519], "A", "B"],
  ["initiator", [GCM_X25519], [HYBRID], "A", "B"],
])(
  "[PQ-11] where only the other side than the %s wants one and insists, nothing comes of it, and the words say so",
  (_, ofA, ofB) => {
    const world = new World();
    const [a, b] = connect(world, ofA, ofB);
    world.run(seconds(10));
    expect(a.state().state).not.toBe("up");
    const mismatch = b.find("noCommonProposal");
    const row = mismatch?.difference.find(({ type }) => type === TransformType.ADDKE1);
    expect(row?.common).toEqual([]);
    expect([...(row?.ours ?? []), ...(row?.theirs ?? [])]).toEqual([{ id: 36, keyBits: 0 }]);
    expect(a.find("proposalRejectedByPeer")).toBeDefined();
  },
);

test("[PQ-06] without the peer's INTERMEDIATE_EXCHANGE_SUPPORTED no additional key exchange is chosen, and none is begun", () => {
  for (const isAnswer of [false, true]) {
    const world = new World();
    const [a, b] = connect(world, [HYBRID], [HYBRID]);
    // The notify gets another type on its way.
    world.network = (datagram, random) => {
      if (typeOf(datagram) !== ExchangeType.IKE_SA_INIT || isRequest(datagram) === isAnswer)
        return perfectNetwork(datagram, random);
      const bytes = Buffer.from(datagram.bytes);
      const at = bytes.indexOf(Buffer.from([0x40, NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED & 0xff]));
      expect(at).toBeGreaterThan(0);
      bytes[at] = 0xa0;
      return [{ datagram: { ...datagram, bytes: new Uint8Array(bytes) }, delay: 1 }];
    };
    world.run(seconds(10));
    expect(world.wire.some((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE)).toBe(false);
    expect((isAnswer ? a : b).find("noCommonProposal")).toBeDefined();
  }
});

test("private values of both ends are wiped once their shared secrets are there", () => {
  const world = new World();
  const secrets: Uint8Array[] = [];
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  for (const node of [a, b])
    meddle(node, (result) => {
      if (result.kind === "keyExchange") secrets.push(result.privateValue);
      if (result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer") secrets.push(result.secret);
      return result;
    });
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  // X25519 at both ends and the decapsulation key; two secrets of each method.
  expect(secrets.map(({ length }) => length).sort()).toEqual([2400, 32, 32, 32, 32, 32, 32]);
  for (const secret of secrets) expect(secret.every((octet) => octet === 0)).toBe(true);
});

test("[PQ-14] a request that is repeated after its answer gets the same answer, though the keys are others by then", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  let lost = 0;
  world.network = (datagram, random) =>
    typeOf(datagram) === ExchangeType.IKE_INTERMEDIATE && !isRequest(datagram) && lost++ < 3
      ? []
      : perfectNetwork(datagram, random);
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
  const answers = world.wire.filter(
    (one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE && !isRequest(one),
  );
  expect(answers).toHaveLength(4);
  for (const { bytes } of answers) expect(bytes).toEqual(answers[0]!.bytes);
  expect(b.machine.drops().get("notAuthentic")).toBeUndefined();
});

test("[PQ-09] ML-KEM-1024 in fragments, whose answer is cut smaller when it gets lost", () => {
  const world = new World();
  const suite = { ...GCM_X25519, additionalKe: [[37], [36]] };
  const [a, b] = connect(world, [suite], [suite], 1280);
  world.network = (datagram) => (datagram.bytes.length + 32 > 600 ? [] : [{ datagram, delay: 5 }]);
  world.run(seconds(60));
  expectConverged(a, b, ["lan"]);
  expect(suiteOf(a)?.additionalKe).toEqual([37, 36]);
  const fragments = world.wire.filter((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE);
  expect(fragments.length).toBeGreaterThan(12);
});

test.each([1, 2, 3, 4, 5, 6])(
  "[PQ-09] fragments, loss, duplicates and disorder, seed %i: it comes up all the same",
  (seed) => {
    const world = new World(seed);
    const suite = { ...GCM_X25519, additionalKe: [[37], [35]] };
    const [a, b] = connect(world, [suite], [suite], 576 + 200 * seed);
    world.computeDelay = () => 20;
    world.network = badNetwork(0.15, 0.2, 300);
    world.run(seconds(400));
    world.network = perfectNetwork;
    world.run(seconds(300));
    expectConverged(a, b, ["lan"]);
    expect(suiteOf(a)?.additionalKe).toEqual([37, 35]);
  },
);

test("[PQ-19] a ciphertext that was meddled with gives other keys, so that IKE_AUTH never opens", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  meddle(b, (result) => {
    if (result.kind !== "keyExchangeAnswer") return result;
    const publicValue = Uint8Array.from(result.publicValue);
    publicValue[100] = publicValue[100]! ^ 1;
    return { ...result, publicValue };
  });
  world.run(seconds(60));
  expect(a.count("ikeSaUp") + b.count("ikeSaUp")).toBe(0);
  expect(a.find("noAnswer")).toMatchObject({ exchange: "IKE_AUTH" });
  expect(b.machine.drops().get("notAuthentic")).toBeGreaterThan(3);
});

test("[PQ-10] a key that the responder refuses ends the try with an error, on both sides", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  meddle(b, (result) =>
    result.kind === "keyExchangeAnswer" ? { kind: "refused", reason: "no such key" } : result,
  );
  world.run(seconds(1));
  expect(a.find("errorFromPeer")).toMatchObject({
    exchange: "IKE_INTERMEDIATE",
    notifyType: NotifyType.INVALID_SYNTAX,
  });
  expect(b.find("refused")).toMatchObject({ exchange: "IKE_INTERMEDIATE", what: "no such key" });
  expect(a.state()).toMatchObject({ state: "waiting", failures: 1 });
  world.run(HALF_OPEN_LIFETIME * 3);
  expect(b.count("ikeSaUp")).toBe(0);
});

test("[PQ-10] a ciphertext of another length ends the try", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  meddle(b, (result) =>
    result.kind === "keyExchangeAnswer" ? { ...result, publicValue: result.publicValue.slice(1) } : result,
  );
  world.run(seconds(1));
  expect(a.find("keyExchangeRefused")).toMatchObject({ method: 36 });
});

test("[PQ-07] a responder that waits for IKE_INTERMEDIATE keeps its place for a time only", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  world.network = (datagram, random) =>
    typeOf(datagram) === ExchangeType.IKE_AUTH ? [] : perfectNetwork(datagram, random);
  world.run(seconds(2));
  expect(b.machine.ikeSaCount()).toBe(1);
  a.isUp = false;
  world.run(HALF_OPEN_LIFETIME + 100);
  expect(b.machine.ikeSaCount()).toBe(0);
});

test("[PQ-07] IKE_AUTH that comes before the additional key exchange is none", () => {
  const world = new World();
  const [a, b] = connect(world, [HYBRID], [HYBRID]);
  // The exchange type of A's IKE_INTERMEDIATE requests cannot be changed unnoticed.
  world.network = (datagram, random) => {
    if (typeOf(datagram) !== ExchangeType.IKE_INTERMEDIATE) return perfectNetwork(datagram, random);
    const bytes = Uint8Array.from(datagram.bytes);
    bytes[18] = ExchangeType.IKE_AUTH;
    return [{ datagram: { ...datagram, bytes }, delay: 1 }];
  };
  world.run(seconds(5));
  expect(a.count("ikeSaUp") + b.count("ikeSaUp")).toBe(0);
  expect(b.machine.drops().get("notAuthentic")).toBeGreaterThan(0);
});

test("[PQ-11] the defaults: ML-KEM-768 where both ends have it, whatever the order of the peer's proposals", () => {
  const world = new World();
  const [a, b] = connect(world, DEFAULT_IKE_PROPOSALS, DEFAULT_IKE_PROPOSALS);
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  expect(suiteOf(a)).toMatchObject({ ke: 31, additionalKe: [36] });
  // The request holds every proposal, and no public value of ML-KEM: it fits any path.
  expect(world.wire[0]!.bytes.length).toBeLessThan(576 - 28);
  const other = new World();
  const [c, d] = connect(other, [GCM_X25519, HYBRID], DEFAULT_IKE_PROPOSALS);
  other.run(seconds(2));
  expectConverged(c, d, ["lan"]);
  expect(suiteOf(d)?.additionalKe).toEqual([36]);
});

test.each([true, false])("[PQ-11] the defaults with a peer that has no ML-KEM; it calls: %s", (isCalled) => {
  const world = new World();
  const classic = [GCM_X25519];
  const [first, second] = isCalled ? [classic, DEFAULT_IKE_PROPOSALS] : [DEFAULT_IKE_PROPOSALS, classic];
  const [a, b] = connect(world, first, second);
  world.run(seconds(2));
  expectConverged(a, b, ["lan"]);
  expect(suiteOf(a)?.additionalKe).toBeUndefined();
  expect(world.wire.some((one) => typeOf(one) === ExchangeType.IKE_INTERMEDIATE)).toBe(false);
});
