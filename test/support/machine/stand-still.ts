/** Holds up this process, or this thread, for so many milliseconds, without taking a core from the others. */
export const standStill = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};
