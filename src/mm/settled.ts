/** Waits for several things to end, all of them, before the first failure is told: what they use is in use until then. */

export async function settled(parts: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(parts);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
