/** The names by which series and events are known: those of the configuration, whatever peers come and go. */
import type { Configuration } from "../config/configuration.ts";
import { policyOf } from "../policy/connection.ts";
import type { PolicyName } from "../policy/data-plane.ts";

export class ConfiguredNames {
  /** Connections by name, `NAME#N` for those of `remote.ids`, with the names of their children; manual ones among them. */
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** What an SA counts for whose own notice was not seen. */
  readonly #byPolicy = new Map<PolicyName, string>();

  constructor({ connections, manual }: Pick<Configuration, "connections" | "manual">) {
    const children = new Map<string, string[]>();
    const add = (connection: string, child: string, policy: PolicyName) => {
      children.set(connection, [...(children.get(connection) ?? []), child]);
      if (!this.#byPolicy.has(policy)) this.#byPolicy.set(policy, `${connection}/${child}`);
    };
    for (const { connection } of connections) {
      if (connection.children.length === 0) children.set(connection.name, []);
      for (const { name } of connection.children) add(connection.name, name, policyOf(connection, name));
    }
    for (const { connection, name, policy } of manual) add(connection, name, policy);
    this.children = children;
  }

  /** The configured connection that a name in a notice belongs to: `NAME#7` of a peer that nobody named is `NAME`. */
  connectionOf(shown: string): string | undefined {
    if (this.children.has(shown)) return shown;
    const plain = shown.replace(/[#.]\d+$/, "");
    return this.children.has(plain) ? plain : undefined;
  }

  /** `connection/child` for a policy. */
  childOf(policy: PolicyName): string | undefined {
    return this.#byPolicy.get(policy);
  }

  /** Whether `connection/child` is configured. */
  hasChild(key: string): boolean {
    const slash = key.lastIndexOf("/");
    return this.children.get(key.slice(0, slash))?.includes(key.slice(slash + 1)) ?? false;
  }
}
