/** What the thread of native-df-worker.ts is told to do, and what it tells: words of shared memory. */
export const ORDER = 0;
export const PAUSE = 0;
export const SEND = 1;
export const END = 2;
/** Counts the batches that it has sent. */
export const SENT = 1;
