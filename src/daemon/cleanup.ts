/** What has been opened, to be closed in the reverse order. */

type Close = () => void | Promise<void>;

export class Cleanup {
  readonly #steps: { readonly name: string; readonly close: Close }[] = [];

  /** Remembers how to close `value` and returns it. */
  add<Value>(name: string, value: Value, close: (value: Value) => void | Promise<void>): Value {
    this.#steps.push({ name, close: () => close(value) });
    return value;
  }

  /** Closes everything, whatever fails on the way. @returns what failed */
  async run(): Promise<readonly { readonly name: string; readonly error: unknown }[]> {
    const failures: { name: string; error: unknown }[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.close();
      } catch (error) {
        failures.push({ name: step.name, error });
      }
    }
    return failures;
  }
}
