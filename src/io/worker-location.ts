/** Where a thread's entry file lies: in `io/`, with the ending that the running tree has. */

/** @param name - file name without ending; `user` is the caller's `import.meta.url`, in any folder beside `io/` */
export function workerLocation(name: string, user: string): URL {
  return new URL(`../io/${name}${user.endsWith(".ts") ? ".ts" : ".js"}`, user);
}
