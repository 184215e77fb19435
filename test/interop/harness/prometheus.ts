/** A real Prometheus that scrapes a gateway, asked over its API. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, until } from "./command.ts";
import type { Namespace } from "./namespace.ts";

const PORT = 9090;

export interface PrometheusSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

export interface PrometheusAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "inactive" | "pending" | "firing";
}

export class Prometheus {
  readonly #process: BackgroundProcess;
  readonly #namespace: Namespace;

  private constructor(process: BackgroundProcess, namespace: Namespace) {
    this.#process = process;
    this.#namespace = namespace;
  }

  /** Scrapes `targets` and evaluates `rules` every second, where alerts need not last. */
  static async start(
    namespace: Namespace,
    folder: string,
    targets: readonly string[],
    rules: string,
  ): Promise<Prometheus> {
    mkdirSync(folder, { recursive: true });
    const ruleFile = join(folder, "rules.yml");
    writeFileSync(ruleFile, readFileSync(rules, "utf8").replace(/^( +for:) .*$/gm, "$1 1s"));
    const configuration = join(folder, "prometheus.yml");
    writeFileSync(
      configuration,
      `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${ruleFile}]
scrape_configs:
  - job_name: tungate
    static_configs: [{ targets: ${JSON.stringify(targets)} }]
`,
    );
    const process = new BackgroundProcess(
      namespace.command([
        "prometheus",
        `--config.file=${configuration}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${PORT}`,
      ]),
      join(folder, "prometheus.log"),
    );
    const prometheus = new Prometheus(process, namespace);
    await until(
      "Prometheus is ready",
      () => /Server is ready/.test(process.log()),
      30_000,
      () => process.log(),
    );
    return prometheus;
  }

  /** What each expression gives at this moment. */
  async query(...expressions: readonly string[]): Promise<readonly (readonly PrometheusSeries[])[]> {
    const answers = await this.#get(expressions.map((one) => `query?query=${encodeURIComponent(one)}`));
    return answers.map((answer) => (answer as { readonly result: readonly PrometheusSeries[] }).result);
  }

  async alerts(): Promise<readonly PrometheusAlert[]> {
    const [answer] = await this.#get(["alerts"]);
    return (answer as { readonly alerts: readonly PrometheusAlert[] }).alerts;
  }

  /** Why scrapes fail, by target; empty: they do not. */
  async scrapeErrors(): Promise<readonly string[]> {
    const [answer] = await this.#get(["targets"]);
    const { activeTargets } = answer as {
      readonly activeTargets: readonly { readonly health: string; readonly lastError: string }[];
    };
    return activeTargets.filter(({ health }) => health !== "up").map(({ lastError }) => lastError);
  }

  /** One process in the namespace asks all of them. @throws Error with what Prometheus found wrong */
  async #get(paths: readonly string[]): Promise<readonly unknown[]> {
    const urls = paths.map((path) => `http://127.0.0.1:${PORT}/api/v1/${path}`);
    const script = `const texts = [];
      for (const url of ${JSON.stringify(urls)}) texts.push(await (await fetch(url)).json());
      process.stdout.write(JSON.stringify(texts));`;
    const { stdout } = await this.#namespace.run([process.execPath, "--input-type=module", "-e", script]);
    const answers = JSON.parse(stdout) as readonly { status: string; error?: string; data: unknown }[];
    return answers.map(({ status, error, data }, i) => {
      if (status !== "success") throw new Error(`${decodeURIComponent(paths[i]!)}: ${error}`);
      return data;
    });
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
}
