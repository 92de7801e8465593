/**
 * The newest of a row of calls: a new one aborts the one before, so that a late answer never takes the place of a newer.
 */
export class Latest {
  #controller = new AbortController();

  /**
   * Calls `call(signal)` after `delay` milliseconds. Resolves to its answer, or to undefined where a newer call or
   * `cancel` came before it; throws what the call throws.
   */
  async run(call, delay = 0) {
    this.cancel();
    const { signal } = (this.#controller = new AbortController());
    try {
      if (delay) await pause(delay, signal);
      const answer = await call(signal);
      return signal.aborted ? undefined : answer;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  cancel() {
    this.#controller.abort();
  }
}

/** Waits for so many milliseconds, or until `signal` is aborted, which it throws. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
