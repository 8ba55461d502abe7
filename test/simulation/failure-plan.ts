/**
 * Which allocations and which copies fail. Everything that can fail asks the plan, in the order of the run, so that the
 * number of a failure means the same each time a seed is replayed.
 */

export interface FailurePlan {
  /** Does what is asked for here fail? */
  fails(site: string): boolean;
  /** How often it was asked, and how often it said yes. */
  readonly asked: number;
  readonly failed: number;
}

/** Nothing fails; what could have is counted. */
export class NoFailures implements FailurePlan {
  asked = 0;
  readonly failed = 0;

  fails(_site: string): boolean {
    this.asked++;
    return false;
  }
}

/** The n-th thing that can fail does, counted from 1, and nothing else. */
export class NthFailure implements FailurePlan {
  asked = 0;
  failed = 0;
  /** What failed. */
  site = "";
  readonly #n: number;

  constructor(n: number) {
    this.#n = n;
  }

  fails(site: string): boolean {
    this.asked++;
    if (this.asked !== this.#n) return false;
    this.failed++;
    this.site = site;
    return true;
  }
}

/** Each thing fails with the same small probability. */
export class RandomFailures implements FailurePlan {
  asked = 0;
  failed = 0;
  readonly #random: () => number;
  readonly #share: number;

  constructor(random: () => number, share: number) {
    this.#random = random;
    this.#share = share;
  }

  fails(_site: string): boolean {
    this.asked++;
    if (this.#random() >= this.#share) return false;
    this.failed++;
    return true;
  }
}
