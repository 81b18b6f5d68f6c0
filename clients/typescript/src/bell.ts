/** Wakes everyone who waits. */
export class Bell {
  #waiting = new Set<() => void>();

  ring(): void {
    const woken = this.#waiting;
    this.#waiting = new Set();
    for (const wake of woken) wake();
  }

  /** Waits for the next ring; with a time, no longer than that; with a signal, rejects when that aborts. */
  wait(options: { ms?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { ms, signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const settle = (finish: () => void) => () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiting.delete(wake);
        finish();
      };
      const wake = settle(resolve);
      const abort = settle(() => reject(signal?.reason));
      const timer = ms === undefined ? undefined : setTimeout(wake, ms);
      signal?.addEventListener('abort', abort);
      this.#waiting.add(wake);
    });
  }
}
