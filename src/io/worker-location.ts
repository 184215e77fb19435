/** Where a thread's entry file lies: beside its user, with the ending that the running tree has. */

/** @param name - file name without ending; `user` is the caller's `import.meta.url` */
export function workerLocation(name: string, user: string): URL {
  return new URL(`./${name}${user.endsWith(".ts") ? ".ts" : ".js"}`, user);
}
