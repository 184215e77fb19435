/** Where a thread's entry file lies, with the ending that the running tree has. */

/** @param path - below `src/` or `dist/`, without ending; `user` is the `import.meta.url` of a caller in any folder there */
export function workerLocation(path: string, user: string): URL {
  return new URL(`../${path}${user.endsWith(".ts") ? ".ts" : ".js"}`, user);
}
